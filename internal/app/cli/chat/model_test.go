package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// shelf has fakes by name.
type shelf struct {
	models map[string]*fake
	carry  map[string]Carried
	wait   chan struct{} // not nil: Open waits for it, or its context
	closed []string
}

func (s *shelf) List() ([]Choice, error) {
	var list []Choice
	for name := range s.models {
		list = append(list, Choice{Name: name, About: "1.0 GB"})
	}
	slices.SortFunc(list, func(a, b Choice) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (s *shelf) Open(ctx context.Context, name string) (*Opened, error) {
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f, ok := s.models[name]
	if !ok {
		return nil, fmt.Errorf("%s is not here", name)
	}
	return &Opened{Model: f, Name: name, Carried: s.carry[name], Notes: []string{"a note"}, Close: func() error {
		s.closed = append(s.closed, name)
		return nil
	}}, nil
}

// newShelf has the models a, which a chat begins with, and b.
func newShelf() (*shelf, *Session) {
	s := &shelf{models: map[string]*fake{"a": {}, "b": {}}, carry: map[string]Carried{}}
	return s, New(s.models["a"], Config{Name: "a", Models: s, Close: func() error {
		s.closed = append(s.closed, "a")
		return nil
	}})
}

// use goes on with a model as Plain does.
func use(t *testing.T, s *Session, name string) Reply {
	t.Helper()
	r := s.Submit("/model " + name)
	if r.Model != name {
		t.Fatalf("/model %s: %+v, want it opened", name, r)
	}
	return s.Use(s.Open(t.Context(), name))
}

func TestAnotherModelGoesOn(t *testing.T) {
	models, s := newShelf()
	say(t, s, "/system S")
	say(t, s, "/set top-k 3")
	say(t, s, "one")
	r := use(t, s, "b")
	if r.Err != nil || r.Text != "(the model is b now; the conversation stays)\na note" {
		t.Errorf("reply = %+v", r)
	}
	say(t, s, "two")
	b := models.models["b"]
	if got, want := b.ask(), "system: S | user: one | assistant: ok | user: two"; got != want {
		t.Errorf("b was asked %q, want %q", got, want)
	}
	if got := b.options[0].Sampling.TopK; got != 3 {
		t.Errorf("top-k = %d, want the user's 3", got)
	}
	if !slices.Equal(models.closed, []string{"a"}) {
		t.Errorf("closed %q, want a", models.closed)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil || !slices.Equal(models.closed, []string{"a", "b"}) {
		t.Errorf("at the end closed %q, %v; want b, too, once", models.closed, err)
	}
}

func TestAModelThatFailsLeavesTheChat(t *testing.T) {
	models, s := newShelf()
	say(t, s, "one")
	if r := use(t, s, "none"); r.Err == nil || r.Err.Error() != "/model: none is not here (the model is still a)" {
		t.Errorf("error = %v", r.Err)
	}
	say(t, s, "two")
	if got, want := models.models["a"].ask(), "user: one | assistant: ok | user: two"; got != want || len(models.closed) != 0 {
		t.Errorf("a was asked %q, want %q; closed %q", got, want, models.closed)
	}
	if r := New(&fake{}, Config{}).Submit("/model b"); r.Err == nil || r.Model != "" {
		t.Errorf("without models: %+v, want an error", r)
	}
}

func TestModelsAreListed(t *testing.T) {
	_, s := newShelf()
	r := s.Submit("/model")
	if want := "* a  1.0 GB\n  b  1.0 GB\n(/model NAME goes on with another one)"; r.Text != want || r.Overlay != OverlayModels {
		t.Errorf("reply = %+v, want %q", r, want)
	}
}

// What a model brings holds where the user leaves things open, and goes with it.
func TestWhatModelsBring(t *testing.T) {
	models, s := newShelf()
	half, three, nine := 0.5, 3, 9
	s.carried = Carried{System: "of a", Options: Options{Temperature: &half, TopK: &three}, Seed: []systemgemma.Message{{Role: "user", Content: "seed"}, {Role: "assistant", Content: "grows"}}}
	models.carry["b"] = Carried{System: "of b", Options: Options{TopK: &nine, Stop: []string{"x"}}}
	say(t, s, "/set temperature 1")
	if set := say(t, s, "/set").Text; !strings.Contains(set, "temperature                 1\n") || !strings.Contains(set, "top-k                       3\n") {
		t.Errorf("/set shows %q, want what is in force", set)
	}
	say(t, s, "one")
	a := models.models["a"]
	if got, want := a.ask(), "system: of a | user: seed | assistant: grows | user: one"; got != want {
		t.Errorf("a was asked %q, want %q", got, want)
	}
	if got := a.options[0]; got.Sampling.Temperature != 1 || got.Sampling.TopK != 3 {
		t.Errorf("a: sampling = %+v, want the user's temperature and a's top-k", got.Sampling)
	}
	use(t, s, "b")
	say(t, s, "two")
	b := models.models["b"]
	if got, want := b.ask(), "system: of b | user: one | assistant: ok | user: two"; got != want {
		t.Errorf("b was asked %q, want %q", got, want)
	}
	if got := b.options[0]; got.Sampling.Temperature != 1 || got.Sampling.TopK != 9 || !slices.Equal(got.Stop, []string{"x"}) {
		t.Errorf("b: options = %+v, want the user's temperature and what b brings", got)
	}
	say(t, s, `/system ""`)
	use(t, s, "a")
	say(t, s, "three")
	if got := a.ask(); strings.Contains(got, "system") {
		t.Errorf("a was asked %q, want no system prompt: the user wanted none", got)
	}
}

func TestModelInPlainMode(t *testing.T) {
	models, s := newShelf()
	var out, errs strings.Builder
	err := Plain(t.Context(), s, Streams{In: strings.NewReader("/model\n/model b\nhi\n/model c\n"), Out: &out, Err: &errs})
	if !errors.Is(err, ErrFailed) || !strings.Contains(out.String(), "* a  1.0 GB\n  b") || !strings.Contains(out.String(), "(the model is b now)\na note\nok\n") {
		t.Errorf("error %v, stdout %q", err, out.String())
	}
	if !strings.Contains(errs.String(), "c is not here (the model is still b)") || models.models["b"].ask() != "user: hi" {
		t.Errorf("stderr %q, b was asked %q", errs.String(), models.models["b"].ask())
	}
}

// cupboard keeps personas in memory.
type cupboard map[string]string

func (c cupboard) List() ([]string, error) {
	var names []string
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (c cupboard) Read(name string) (string, error) {
	if text, ok := c[name]; ok {
		return text, nil
	}
	return "", fmt.Errorf("no persona %s", name)
}

func (c cupboard) Save(name, system string) (bool, error) {
	if name == "" {
		return false, errors.New("persona name: want letters")
	}
	_, replaced := c[name]
	c[name] = system
	return replaced, nil
}

func (c cupboard) Delete(name string) error {
	_, err := c.Read(name)
	delete(c, name)
	return err
}

func TestPersonas(t *testing.T) {
	c := cupboard{}
	f := &fake{}
	s := New(f, Config{Personas: c})
	for _, step := range []struct{ input, want string }{
		{"/persona", "(no personas yet; /system TEXT and /persona add NAME keep one)"},
		{"/persona add pirate", "error: /persona add: no system prompt to keep; /system TEXT sets one"},
		{"/system Arr!\nMatey.", "(system prompt set)"},
		{"/persona add pirate", "(persona pirate keeps the system prompt)"},
		{"/system Be brief.", "(system prompt set)"},
		{"/persona add terse one", "(persona terse one keeps the system prompt)"},
		{"hi", ""},
		{"/persona pirate", "(persona pirate: its system prompt is in force; the conversation stays)"},
		{"/persona", "* pirate     Arr! Matey.\n  terse one  Be brief.\n(/persona NAME uses one; /persona add NAME keeps the system prompt; /persona delete NAME)"},
		{"/persona add pirate", "(persona pirate replaced by the system prompt)"},
		{"/persona delete pirate", "(persona pirate deleted; the system prompt in force stays)"},
		{"/persona pirate", "error: /persona: no persona pirate"},
		{"/persona delete pirate", "error: /persona delete: no persona pirate"},
		{"/persona add", "error: /persona add: want /persona add NAME"},
		{"/system", "Arr!\nMatey."},
		{"more", ""},
	} {
		r := say(t, s, step.input)
		got := r.Text
		if r.Err != nil {
			got = "error: " + r.Err.Error()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.input, got, step.want)
		}
	}
	if got, want := f.ask(), "system: Arr!\nMatey. | user: hi | assistant: ok | user: more"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if r := New(f, Config{}).Submit("/persona"); !errors.Is(r.Err, errNoPersonas) {
		t.Errorf("without a folder: %+v", r)
	}
}
