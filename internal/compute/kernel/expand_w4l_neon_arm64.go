//go:build !noasm

package kernel

// expandW4LNeon is expandW4LRef.
//
//go:noescape
func expandW4LNeon(dst *float32, w *byte, scales, table *float32, blocks int)
