package main

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// manifests fills in the templates of packaging/ whose platforms are all there.
func (r *release) manifests(sums checksums) error {
	for name, platforms := range map[string][]string{
		"systemgemma.rb":   {"darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "linux_amd64.tar.gz", "linux_arm64.tar.gz"},
		"systemgemma.json": {"windows_amd64.zip", "windows_arm64.zip"},
	} {
		data := map[string]string{"version": strings.TrimPrefix(r.version, "v")}
		for _, p := range platforms {
			key, _, _ := strings.Cut(p, ".")
			if data[key] = sums.find("_" + p); data[key] == "" {
				data = nil
				break
			}
		}
		if data == nil {
			continue
		}
		t, err := template.New(name + ".tmpl").Option("missingkey=error").ParseFiles(filepath.Join("packaging", name+".tmpl"))
		if err != nil {
			return err
		}
		var b strings.Builder
		if err := t.Execute(&b, data); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, name), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
