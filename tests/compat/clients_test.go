package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// need skips where a program is missing, or fails if it should be here.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("SYSTEMGEMMA_WANT_CLIENTS") != "" {
			t.Fatalf("want %s in PATH", p)
		}
		t.Skipf("not run here: no %s", p)
	}
}

// command runs a program in a folder of this package and returns what it said.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestJavaScript(t *testing.T) {
	need(t, "node", "npm")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("js")); err != nil {
		t.Fatal(err)
	}
	command(t, dir, nil, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error")
	s := serve(t)
	for _, script := range []string{"openai.mjs", "ollama.mjs", "ai.mjs", "langchain.mjs"} {
		t.Run(script, func(t *testing.T) { t.Log(command(t, dir, []string{"COMPAT_URL=" + s.url}, "node", script)) })
	}
}

func TestPython(t *testing.T) {
	need(t, "python3")
	dir := t.TempDir()
	command(t, ".", nil, "python3", "-m", "venv", dir)
	python := filepath.Join(dir, "bin", "python")
	command(t, "python", nil, python, "-m", "pip", "install", "-q", "-r", "requirements.txt")
	s := serve(t)
	tokenizer, err := filepath.Abs("../../tools/mini/model")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"COMPAT_URL=" + s.url, "COMPAT_PROGRAM=" + program, "COMPAT_TOKENIZER=" + tokenizer}
	for _, script := range []string{"openai_client.py", "harness.py"} {
		t.Run(script, func(t *testing.T) { t.Log(command(t, "python", env, python, script)) })
	}
}
