package persona

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func folder(t *testing.T) Folder { return Folder(filepath.Join(t.TempDir(), "new", "personas")) }

func TestSaveReadListDelete(t *testing.T) {
	f := folder(t)
	if names, err := f.List(); err != nil || len(names) != 0 {
		t.Errorf("a folder that isn't there: %q, %v; want none", names, err)
	}
	for _, x := range []struct {
		name, text string
		replaced   bool
	}{{"pirate", "Talk like\na pirate.", false}, {"Ärztin 2", "Be exact.", false}, {"pirate", "Arr!\n", true}} {
		if replaced, err := f.Save(x.name, x.text); err != nil || replaced != x.replaced {
			t.Errorf("Save(%q): replaced %v, %v; want %v", x.name, replaced, err, x.replaced)
		}
		if got, err := f.Read(x.name); err != nil || got != x.text {
			t.Errorf("Read(%q) = %q, %v; want %q", x.name, got, err, x.text)
		}
	}
	if names, err := f.List(); err != nil || !slices.Equal(names, []string{"pirate", "Ärztin 2"}) {
		t.Errorf("List = %q, %v", names, err)
	}
	if err := f.Delete("pirate"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{f.Delete("pirate"), second(f.Read("pirate"))} {
		if err == nil || !strings.Contains(err.Error(), "no persona pirate; there are Ärztin 2") {
			t.Errorf("error = %v, want it to name what there is", err)
		}
	}
	files, err := os.ReadDir(string(f))
	if err != nil || len(files) != 1 {
		t.Errorf("folder holds %v, %v; want one file", files, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Written by hand: a last line end of any kind is no part, and what is no persona is told or left out.
func TestFilesOfPeople(t *testing.T) {
	f := Folder(t.TempDir())
	for name, text := range map[string]string{
		"unix.txt": "Be brief.\n", "dos.txt": "Be brief.\r\n", "bare.txt": "Be brief.", "empty.txt": " \n", "bytes.txt": "\xff", ".hidden.txt": "x", "notes.md": "x",
		"add more.txt": "x", "long.txt": strings.Repeat("x", maxText+1),
	} {
		if err := os.WriteFile(filepath.Join(string(f), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(string(f), "folder.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := f.List()
	if want := []string{"bare", "bytes", "dos", "empty", "long", "unix"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("List = %q, %v; want %q", names, err, want)
	}
	for _, name := range []string{"unix", "dos", "bare"} {
		if got, err := f.Read(name); err != nil || got != "Be brief." {
			t.Errorf("Read(%s) = %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"empty": "found nothing", "bytes": "want UTF-8", "long": "want at most", "folder": "want a file"} {
		if _, err := f.Read(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%s): %v, want %q in it", name, err, want)
		}
	}
}

// Names stay inside the folder on every system.
func TestNamesThatAreRefused(t *testing.T) {
	f := folder(t)
	for _, name := range []string{
		"", " a", "a ", ".", "..", "../a", "a/b", `a\b`, "a:b", ".a", "a.", "-a", "a\x00b", "a\nb", "a\x1b[m", "\xff", "con", "NUL.x", "com1", "add", "add x", "delete x", "a\u202eb",
		strings.Repeat("x", maxName+1),
	} {
		if _, err := f.Save(name, "x"); err == nil {
			t.Errorf("Save(%q) works, want an error", name)
		}
		if _, err := f.Read(name); err == nil || strings.ContainsAny(err.Error(), "\x1b\n\x00") {
			t.Errorf("Read(%q): %v, want an error without control characters", name, err)
		}
		if err := f.Delete(name); err == nil {
			t.Errorf("Delete(%q) works, want an error", name)
		}
	}
	for _, name := range []string{"a", "Add", "adder", "a b", "v1.2", "x_y-z", "好", "console", strings.Repeat("x", maxName)} {
		if err := CheckName(name); err != nil {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
	for _, text := range []string{"", "\n", "\xff", strings.Repeat("x", maxText+1)} {
		if _, err := f.Save("a", text); err == nil {
			t.Errorf("Save of %.10q works, want an error", text)
		}
	}
	if _, err := os.Stat(string(f)); err == nil {
		t.Error("what is refused made the folder")
	}
}

// What any name saves is read again under that name, and lies in the folder.
func FuzzName(f *testing.F) {
	for _, name := range []string{"pirate", "a b", "../x", "con.txt", "ÄÖ", "a\u0301", "add x"} {
		f.Add(name)
	}
	dir := Folder(f.TempDir())
	f.Fuzz(func(t *testing.T, name string) {
		if _, err := dir.Save(name, "text of "+name); err != nil {
			return
		}
		if got, err := dir.Read(name); err != nil || got != "text of "+name {
			t.Fatalf("Read(%q) = %q, %v", name, got, err)
		}
		if _, err := os.Stat(filepath.Join(string(dir), name+suffix)); err != nil || strings.ContainsAny(name, `/\`) {
			t.Fatalf("%q: not in the folder: %v", name, err)
		}
		if err := dir.Delete(name); err != nil {
			t.Fatal(err)
		}
	})
}
