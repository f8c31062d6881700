package strictjson_test

import (
	"strings"
	"testing"

	"gatehouse/internal/strictjson"
)

func TestRepeated(t *testing.T) {
	for document, want := range map[string]string{
		`{"a":1,"a":1}`:                               "a",
		`{"a":1,"\u0061":2}`:                          "a",
		`{"a":{"b":1},"a":2}`:                         "a",
		`[0,{"a":[{"b":{"c":1,"d":[{}],"c":2}}]}]`:    "c",
		`{"a":"b","b":"a","c":["a","a"],"d":{"a":1}}`: "",
		`{"a":1,"A":2}`:                               "",
		`[]`:                                          "",
		`"a"`:                                         "",
		``:                                            "",
	} {
		if name, found := strictjson.Repeated([]byte(document), strictjson.AsIs); name != want || found != (want != "") {
			t.Errorf("%s: %q, %v; want %q", document, name, found, want)
		}
	}
	if name, _ := strictjson.Repeated([]byte(`{"a":1,"A":2}`), strings.ToLower); name != "A" {
		t.Errorf("%q, want A", name)
	}
}
