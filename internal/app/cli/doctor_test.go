package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Nodes of devices are found by what kernels call them, and the driver tells a GPU from an NPU.
func TestFindDevices(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such nodes")
	}
	root := t.TempDir()
	for _, name := range []string{"dev/dri/renderD128", "dev/dri/renderD129", "dev/dri/card0", "dev/accel/accel0", "dev/nvidia0", "dev/nvidiactl"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, driver := range map[string]string{"drm/renderD128": "panthor", "drm/renderD129": "RKNPU", "accel/accel0": "rocket"} {
		dir := filepath.Join(root, "sys/class", name, "device")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../bus/platform/drivers/"+driver, filepath.Join(dir, "driver")); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	tellDevices(&b, findDevices(root))
	for i, want := range []string{"/dev/accel/accel0, NPU (rocket):", "/dev/dri/renderD128, GPU (panthor):", "/dev/dri/renderD129, NPU (RKNPU):", "/dev/nvidia0, GPU:"} {
		if lines := strings.Split(b.String(), "\n"); len(lines) != 5 || !strings.Contains(lines[i], want) {
			t.Errorf("line %d: want %q in\n%s", i, want, &b)
		}
	}
	b.Reset()
	if tellDevices(&b, findDevices(t.TempDir())); !strings.Contains(b.String(), "no GPU or NPU found") {
		t.Errorf("nothing: %s", &b)
	}
}
