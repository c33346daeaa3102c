package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

func readBuild(path string) (*debug.BuildInfo, error) { return buildinfo.ReadFile(path) }

// spdx is a list of components (SPDX 2.3, spdx.github.io/spdx-spec/v2.3), as far as a Go program has any.
type spdx struct {
	Version       string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	CreationInfo  creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string              `json:"SPDXID"`
	Name             string              `json:"name"`
	Version          string              `json:"versionInfo"`
	DownloadLocation string              `json:"downloadLocation"`
	FilesAnalyzed    bool                `json:"filesAnalyzed"`
	LicenseDeclared  string              `json:"licenseDeclared"`
	LicenseConcluded string              `json:"licenseConcluded"`
	Copyright        string              `json:"copyrightText"`
	FileName         string              `json:"packageFileName,omitempty"`
	Checksums        []map[string]string `json:"checksums,omitempty"`
	Refs             []map[string]string `json:"externalRefs,omitempty"`
	Comment          string              `json:"comment,omitempty"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// components writes what a program was built from, as the program itself records it.
func (r *release) components(path, program string) error {
	info, err := readBuild(program)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r.describe(info, filepath.Base(program), sha256.Sum256(data)), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func (r *release) describe(info *debug.BuildInfo, name string, sum [32]byte) spdx {
	const none = "NOASSERTION"
	main := spdxPackage{
		ID: "SPDXRef-systemgemma", Name: info.Main.Path, Version: info.Main.Version, DownloadLocation: "https://" + info.Main.Path,
		LicenseDeclared: "Apache-2.0", LicenseConcluded: "Apache-2.0", Copyright: none, FileName: name,
		Checksums: []map[string]string{{"algorithm": "SHA256", "checksumValue": fmt.Sprintf("%x", sum)}}, Refs: purl(info.Main.Path, info.Main.Version),
	}
	d := spdx{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: "systemgemma " + info.Main.Version,
		Namespace:    fmt.Sprintf("https://github.com/systemgemma/systemgemma/spdx/%x", sum),
		CreationInfo: creation{r.time.Format("2006-01-02T15:04:05Z"), []string{"Tool: systemgemma-release"}},
		Packages:     []spdxPackage{main}, Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", main.ID}},
	}
	add := func(name, version, sum string) {
		p := spdxPackage{
			ID: fmt.Sprintf("SPDXRef-%d", len(d.Packages)), Name: name, Version: version, DownloadLocation: none,
			LicenseDeclared: none, LicenseConcluded: none, Copyright: none, Refs: purl(name, version),
		}
		if sum != "" {
			p.Comment = "go.sum: " + sum
		}
		d.Packages = append(d.Packages, p)
		d.Relationships = append(d.Relationships, relationship{main.ID, "DEPENDS_ON", p.ID})
	}
	add("std", strings.TrimPrefix(info.GoVersion, "go"), "")
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(m.Path, m.Version, m.Sum)
	}
	return d
}

func purl(path, version string) []map[string]string {
	return []map[string]string{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:golang/" + path + "@" + version}}
}
