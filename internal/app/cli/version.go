package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCmd is `systemgemma version`.
type versionCmd struct {
	JSON bool `name:"json" group:"Output" help:"Write one JSON object."`
}

// versionReport is what version --json writes.
type versionReport struct {
	Version  string `json:"version"`            // (devel) when built from a working tree
	Revision string `json:"revision,omitempty"` // of the source, if the builder recorded it
	Modified bool   `json:"modified,omitempty"` // beyond that revision
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Run tells the version.
func (c *versionCmd) Run(env *Env) error {
	r := newVersionReport(env.Build)
	if c.JSON {
		return writeJSON(env, r)
	}
	revision := ""
	if r.Revision != "" {
		revision = " " + r.Revision
	}
	if r.Modified {
		revision += " (modified)"
	}
	return write(env.Stdout, fmt.Sprintf("systemgemma %s%s, %s, %s/%s\n", r.Version, revision, r.Go, r.OS, r.Arch))
}

func newVersionReport(build *debug.BuildInfo) versionReport {
	r := versionReport{Version: "(unknown)", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if build == nil {
		return r
	}
	r.Version = build.Main.Version
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Revision = s.Value
		case "vcs.modified":
			r.Modified = s.Value == "true"
		}
	}
	return r
}
