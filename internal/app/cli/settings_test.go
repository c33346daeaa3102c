package cli

import (
	"strings"
	"testing"
)

// Every key is a flag of some command, and the variables that are read elsewhere are no keys.
func TestSettingKeys(t *testing.T) {
	c, err := newChecker()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range settingKeys {
		if c.flag("", key) == nil {
			t.Errorf("no command has --%s", key)
		}
		for _, other := range otherVariables {
			if variable(key) == other {
				t.Errorf("%s is %s", key, other)
			}
		}
	}
	for _, name := range fixed {
		if err := c.value(name, "threads", "1"); err == nil || !strings.Contains(err.Error(), "give flags") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// A wrong variable is named, whatever the command line says; commands without settings run on.
func TestWrongVariable(t *testing.T) {
	for args, want := range map[string]int{"tokenize -m mini hi": 0, "tokenize hi": 1, "run hi": 1, "config show": 1, "version": 0, "config path": 1} {
		p := newProcess("")
		p.Getenv = func(name string) string {
			if name == "SYSTEMGEMMA_THREADS" {
				return "many"
			}
			return ""
		}
		status := p.run(t, strings.Fields(args)...)
		if named := strings.Contains(p.err.String(), "SYSTEMGEMMA_THREADS: "); status != want || named != (want == 1 && args != "config path") {
			t.Errorf("%s: status %d, stderr %q", args, status, p.err.String())
		}
	}
}
