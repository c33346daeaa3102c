package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// device is a node of a processor for graphics or neural networks.
type device struct {
	Path   string `json:"path"`
	Kind   string `json:"kind"`             // GPU or NPU; "GPU or NPU" where only a driver could tell
	Driver string `json:"driver,omitempty"` // as the kernel names it
	Denied bool   `json:"denied,omitempty"` // this user may not open it
}

// nodes are where systems put such devices: all Linux kernels, vendors' kernels and drivers, and Windows' subsystem for Linux.
var nodes = []struct{ pattern, kind string }{
	{"dev/accel/accel*", "NPU"}, {"dev/dri/renderD*", "GPU or NPU"}, {"dev/dxg", "GPU"}, {"dev/kfd", "GPU"}, {"dev/mali*", "GPU"}, {"dev/nvidia[0-9]*", "GPU"}, {"dev/rknpu", "NPU"},
}

// drivers tell what a render node belongs to.
var drivers = map[string]string{
	"RKNPU": "NPU", "rknpu": "NPU", "rocket": "NPU", "amdgpu": "GPU", "i915": "GPU", "lima": "GPU", "mali": "GPU", "msm": "GPU", "nouveau": "GPU", "nvidia": "GPU",
	"panfrost": "GPU", "panthor": "GPU", "radeon": "GPU", "v3d": "GPU", "virtio_gpu": "GPU", "xe": "GPU",
}

// findDevices looks below root, which is / but in tests. No device is opened.
func findDevices(root string) []device {
	found := []device{}
	for _, n := range nodes {
		paths, _ := filepath.Glob(filepath.Join(globEscape.Replace(root), n.pattern)) // the patterns are well formed
		for _, path := range paths {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				continue
			}
			d := device{Path: "/" + filepath.ToSlash(rel), Kind: n.kind}
			class := map[bool]string{true: "accel", false: "drm"}[n.kind == "NPU"]
			if link, err := os.Readlink(filepath.Join(root, "sys/class", class, filepath.Base(path), "device/driver")); err == nil {
				d.Driver = filepath.Base(link)
			}
			if kind, ok := drivers[d.Driver]; ok {
				d.Kind = kind
			}
			d.Denied = denied(path)
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b device) int { return strings.Compare(a.Path, b.Path) })
	return found
}

func tellDevices(b *strings.Builder, all []device) {
	for _, d := range all {
		by, denied := "", ""
		if d.Driver != "" {
			by = " (" + d.Driver + ")"
		}
		if d.Denied {
			denied = "; this user may not open it (the group render or video may)"
		}
		field(b, "device", "%s, %s%s: not used, this program computes on the CPU%s", d.Path, d.Kind, by, denied)
	}
	if len(all) == 0 {
		field(b, "device", "no GPU or NPU found; none is needed, this program computes on the CPU")
	}
}
