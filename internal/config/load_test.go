package config

import (
	"errors"
	"testing"
)

func TestLoadOfNothing(t *testing.T) {
	for _, in := range []string{"", "\n\n", "# only a comment\n", "---\n", "{}", "server:\n"} {
		c, warnings, err := Parse("config.yaml", []byte(in), nil)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if len(warnings) > 0 {
			t.Errorf("%q: warnings %v", in, warnings)
		}
		if !c.Local.Enabled || c.Store.Redis != nil || len(c.Routes) != 0 || c.Server.Prefix != "/oauth2" {
			t.Errorf("%q: defaults are wrong: %+v", in, c)
		}
	}
}

func TestProblemsComeTogether(t *testing.T) {
	_, _, err := Parse("config.yaml", []byte("sever: {}\nsession: {lifetime: soon}\nlisten: 1\n"), nil)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("got %v", err)
	}
	want := "config.yaml:1: sever: there is no such key; did you mean server?\n" +
		"config.yaml:2: session.lifetime: must be a duration; write a number and its unit, such as 90s, 15m, 24h or 90d\n" +
		"config.yaml:3: listen: there is no such key; did you mean server.listen?"
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
