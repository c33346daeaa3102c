package chat

import "testing"

func TestHistory(t *testing.T) {
	var h history
	steps := []struct {
		step string
		want string
		ok   bool
	}{
		{"up", "", false},
		{"down", "", false},
		{"add one", "", false},
		{"add two", "", false},
		{"add two", "", false}, // twice the same is once
		{"up draft", "two", true},
		{"up", "one", true},
		{"up", "", false},
		{"down", "two", true},
		{"down", "draft", true},
		{"down", "", false},
		{"up again", "two", true},
		{"down", "again", true},
	}
	for i, s := range steps {
		var got string
		var ok bool
		switch {
		case s.step == "down":
			got, ok = h.down()
		case s.step[:2] == "up":
			got, ok = h.up(trim(s.step[2:]))
		default:
			h.add(trim(s.step[3:]))
		}
		if got != s.want || ok != s.ok {
			t.Errorf("step %d, %s: %q, %v; want %q, %v", i, s.step, got, ok, s.want, s.ok)
		}
	}
}

func trim(s string) string {
	if s != "" && s[0] == ' ' {
		return s[1:]
	}
	return s
}
