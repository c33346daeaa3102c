package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// packageVersion is a version that dpkg and rpm order as Go orders it: what follows a hyphen comes before the release.
func packageVersion(version string) string {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+")
	base, pre, ok := strings.Cut(version, "-")
	if !ok {
		return base
	}
	return base + "~" + strings.ReplaceAll(pre, "-", ".")
}

// content is one file of a package, in nfpm's words.
type content struct {
	Src      string         `json:"src"`
	Dst      string         `json:"dst"`
	Packager string         `json:"packager,omitempty"`
	FileInfo map[string]any `json:"file_info"`
}

// packages makes a .deb and an .rpm, with the service and the scripts of packaging/.
func (r *release) packages(arch, program string) error {
	common := filepath.Join(r.stage, "common")
	var contents []content
	add := func(packager, src, dst string, mode int) {
		contents = append(contents, content{src, dst, packager, map[string]any{"mode": mode, "mtime": r.time}})
	}
	add("", program, "/usr/bin/systemgemma", 0o755)
	add("", filepath.Join(common, "completions", "systemgemma.bash"), "/usr/share/bash-completion/completions/systemgemma", 0o644)
	add("deb", filepath.Join(common, "completions", "_systemgemma"), "/usr/share/zsh/vendor-completions/_systemgemma", 0o644)
	add("rpm", filepath.Join(common, "completions", "_systemgemma"), "/usr/share/zsh/site-functions/_systemgemma", 0o644)
	add("", filepath.Join(common, "completions", "systemgemma.fish"), "/usr/share/fish/vendor_completions.d/systemgemma.fish", 0o644)
	service, err := filepath.Abs(filepath.Join("packaging", "systemgemma.service"))
	if err != nil {
		return err
	}
	add("", service, "/usr/lib/systemd/system/systemgemma.service", 0o644)
	scripts := map[string]string{}
	for _, name := range []string{"postinstall", "preremove", "postremove"} {
		if scripts[name], err = filepath.Abs(filepath.Join("packaging", "scripts", name+".sh")); err != nil {
			return err
		}
	}
	copyright, err := r.copyright()
	if err != nil {
		return err
	}
	add("deb", copyright, "/usr/share/doc/systemgemma/copyright", 0o644)
	for _, name := range []string{"LICENSE", "NOTICE"} {
		add("rpm", filepath.Join(common, name), "/usr/share/licenses/systemgemma/"+name, 0o644)
	}
	pages, err := filepath.Glob(filepath.Join(common, "man", "man1", "*.1"))
	if err != nil {
		return err
	}
	for _, page := range pages { // sorted
		zipped, err := r.zipPage(page)
		if err != nil {
			return err
		}
		add("", zipped, "/usr/share/man/man1/"+filepath.Base(zipped), 0o644)
	}
	config, err := json.MarshalIndent(map[string]any{ // JSON is YAML
		"name": "systemgemma", "arch": arch, "platform": "linux", "version": packageVersion(r.version), "version_schema": "none", "release": "1",
		"section": "utils", "priority": "optional", "maintainer": "SystemGemma contributors <https://github.com/systemgemma/systemgemma>",
		"homepage": "https://github.com/systemgemma/systemgemma", "license": "Apache-2.0", "mtime": r.time, "contents": contents, "scripts": scripts,
		"overrides":   map[string]any{"deb": map[string]any{"depends": []string{"passwd"}}, "rpm": map[string]any{"depends": []string{"/usr/sbin/useradd"}}}, // for the scripts
		"description": "Gemma 2 with system prompts, on the machine you own\nOne static program: chat, convert, measure. A small model is inside.",
		"rpm":         map[string]any{"buildhost": "localhost", "summary": "Gemma 2 with system prompts, on the machine you own"},
	}, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(r.stage, "nfpm-"+arch+".yaml")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		return err
	}
	for _, packager := range []string{"deb", "rpm"} {
		out := fmt.Sprintf("systemgemma_%s_linux_%s.%s", strings.TrimPrefix(r.version, "v"), arch, packager)
		env := []string{"GOFLAGS=", "CGO_ENABLED=0", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.time.Unix())}
		if err := command(env, "go", "-C", "tools/packages", "tool", "nfpm", "package", "-f", path, "-p", packager, "-t", filepath.Join(r.out, out)); err != nil {
			return err
		}
	}
	return nil
}

// copyright is the file that Debian wants, as one text.
func (r *release) copyright() (path string, err error) {
	var text bytes.Buffer
	for _, name := range []string{"NOTICE", "LICENSE"} {
		data, err := os.ReadFile(filepath.Join(r.stage, "common", name))
		if err != nil {
			return "", err
		}
		text.Write(append(data, '\n'))
	}
	path = filepath.Join(r.stage, "copyright")
	return path, os.WriteFile(path, text.Bytes(), 0o644)
}

// zipPage compresses a manual page, as packages want it, without name and time.
func (r *release) zipPage(page string) (path string, err error) {
	data, err := os.ReadFile(page)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	path = filepath.Join(r.stage, filepath.Base(page)+".gz")
	return path, os.WriteFile(path, b.Bytes(), 0o644)
}
