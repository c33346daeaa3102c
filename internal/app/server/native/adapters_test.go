package native

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// Adapters that are loaded change scores as the library says, by the strengths that are set or that a request names.
func TestAdapters(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "checkpoint", "peft", "testdata", "lora"))
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "base")
	set, err := hosted.New(hosted.Options{Models: []string{"base"}, Resolve: func(string) (hosted.Found, error) { return hosted.Found{Name: "base", Path: base}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	s := server.New(set, server.Config{})
	s.Add(New(s, Options{Adapters: dir}))

	m, err := systemgemma.Open(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	ids := []int32{2, 5, 7, 11, 3, 9}
	want := func(scales map[string]float32) string {
		var uses []systemgemma.AdapterUse
		for _, name := range []string{"plain-r4-qv", "dora-r4"} {
			if scales[name] == 0 {
				continue
			}
			a, err := m.OpenAdapter(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			uses = append(uses, systemgemma.AdapterUse{Adapter: a, Scale: scales[name]})
		}
		x, err := m.Score(context.Background(), ids, 1, uses...)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(x.Logprobs)
	}
	list, _ := json.Marshal(ids)
	got := func(further string) string {
		x := ask.JSON[struct{ Scores []scored }](t, ask.Post(s, "/score", `{"prompt":`+string(list)+further+`}`))
		return fmt.Sprint(x.Scores[0].Logprobs)
	}
	plain := want(nil)
	if got("") != plain {
		t.Errorf("without: %s, want %s", got(""), plain)
	}
	for i, name := range []string{"plain-r4-qv", "dora-r4"} {
		if x := ask.JSON[adapter](t, ask.Post(s, "/lora-adapters/load", `{"path":"`+name+`","scale":0.5}`)); x != (adapter{i, name, 0.5}) {
			t.Errorf("%+v", x)
		}
	}
	if x := ask.JSON[adapter](t, ask.Post(s, "/lora-adapters/load", `{"path":"dora-r4","scale":0}`)); x.ID != 1 || x.Scale != 0 { // it is there already
		t.Errorf("%+v", x)
	}
	if half := want(map[string]float32{"plain-r4-qv": 0.5}); got("") != half || half == plain {
		t.Errorf("half: %s, want %s", got(""), half)
	}
	if x := ask.JSON[[]adapter](t, ask.Post(s, "/lora-adapters", `[{"id":1,"scale":2}]`)); len(x) != 2 || x[0].Scale != 0 || x[1].Scale != 2 {
		t.Errorf("%+v", x)
	}
	if two := want(map[string]float32{"dora-r4": 2}); got("") != two || two == plain {
		t.Errorf("set: %s, want %s", got(""), two)
	}
	if one := want(map[string]float32{"plain-r4-qv": 1}); got(`,"lora":[{"id":0,"scale":1}]`) != one {
		t.Errorf("named: %s, want %s", got(`,"lora":[{"id":0,"scale":1}]`), one)
	}
	if x := ask.JSON[[]adapter](t, ask.Do(s, "GET", "/lora-adapters?model=base", "")); len(x) != 2 || x[1].Scale != 2 {
		t.Errorf("%+v", x)
	}
	if w := ask.Post(s, "/lora-adapters/load", `{"path":"refuse-shape"}`); w.Code != 400 || strings.Contains(w.Body.String(), dir) {
		t.Errorf("one of another shape: %d %s", w.Code, w.Body)
	}
}
