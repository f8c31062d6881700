package redis

import (
	"strings"
	"testing"
)

func read(a, b string) *layout {
	l := &layout{}
	l.mark("a", strings.Fields(a))
	l.mark("b", strings.Fields(b))
	return l
}

// TestPasses: when a pass over the masters may be the last one.
func TestPasses(t *testing.T) {
	const here, there = "0-16383", "0-16382 16383"
	type moment struct{ a, b string } // what two masters say of themselves
	tests := []struct {
		name   string
		passes [][2]moment // before and after each
		want   int         // the pass after which it is over; 0: none
	}{
		{"at rest", [][2]moment{{{here, ""}, {here, ""}}}, 1},
		{"moved during the first", [][2]moment{{{here, ""}, {"", here}}, {{"", here}, {"", here}}}, 2},
		{"moves one after the other", [][2]moment{
			{{here, ""}, {"0-99", "100-16383"}},
			{{"0-99", "100-16383"}, {"0-49", "50-16383"}},
		}, 2},
		{"open all the time", [][2]moment{
			{{here + " [5->-b]", "[5-<-a]"}, {here + " [5->-b]", "[5-<-a]"}},
			{{here + " [5->-b]", "[5-<-a]"}, {here + " [5->-b]", "[5-<-a]"}},
		}, 2},
		{"opened, then closed", [][2]moment{
			{{here, ""}, {here + " [5->-b]", "[5-<-a]"}},
			{{here + " [5->-b]", "[5-<-a]"}, {"0-4 6-16383", "5"}},
			{{"0-4 6-16383", "5"}, {"0-4 6-16383", "5"}},
		}, 3},
		{"open, the other way round", [][2]moment{
			{{here + " [5->-b]", "[5-<-a]"}, {here + " [5->-b]", "[5-<-a]"}},
			{{"0-4 6-16383 [5-<-b]", "5 [5->-a]"}, {"0-4 6-16383 [5-<-b]", "5 [5->-a]"}},
		}, 0},
		{"open between the passes of two others", [][2]moment{
			{{here + " [5->-b]", "[5-<-a]"}, {here + " [5->-b]", "[5-<-a]"}},
			{{here, ""}, {here + " [5->-b]", "[5-<-a]"}},
			{{here + " [5->-b]", "[5-<-a]"}, {here + " [5->-b]", "[5-<-a]"}},
		}, 0},
		{"claimed by two", [][2]moment{{{here, "16383"}, {here, "16383"}}, {{here, "16383"}, {here, "16383"}}}, 0},
		{"claimed by none", [][2]moment{{{"0-16382", ""}, {"0-16382", ""}}}, 0},
		{"written in another way", [][2]moment{{{here, ""}, {there, ""}}}, 1},
		{"nonsense", [][2]moment{{{"x 5-y [z-<-a] 99999 -3", ""}, {"x 5-y [z-<-a] 99999 -3", ""}}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p passes
			got := 0
			for i, pass := range tt.passes {
				if p.over(read(pass[0].a, pass[0].b), read(pass[1].a, pass[1].b)) && got == 0 {
					got = i + 1
				}
			}
			if got != tt.want {
				t.Errorf("over after pass %d, want %d", got, tt.want)
			}
		})
	}
}
