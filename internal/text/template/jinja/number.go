package jinja

import (
	"math"
	"math/big"
	"strconv"
)

// isNumber reports whether v takes part in arithmetic; in Python a bool does.
func isNumber(v value) bool {
	switch v.(type) {
	case bool, int64, *big.Int, float64:
		return true
	}
	return false
}

// toBig returns an integer (or bool) as a big.Int, nil for anything else.
func toBig(v value) *big.Int {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1)
		}
		return new(big.Int)
	case int64:
		return big.NewInt(v)
	case *big.Int:
		return v
	}
	return nil
}

// integer returns x as the smallest representation: int64 where it fits. Larger ones are bounded.
func (r *renderer) integer(x *big.Int) value {
	if x.IsInt64() {
		return x.Int64()
	}
	if x.BitLen() > maxIntBits {
		r.fail(Limit, "%s", limitMessage("bits of an integer", maxIntBits))
		return int64(0)
	}
	r.alloc(x.BitLen() / 8)
	return x
}

// toInt returns v as an int, clamped; ok is false if v is no integer or bool.
func toInt(v value) (n int, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return int(max(math.MinInt, min(math.MaxInt, v))), true
	case *big.Int:
		if v.Sign() < 0 {
			return math.MinInt, true
		}
		return math.MaxInt, true
	}
	return 0, false
}

// toFloat returns a number as the nearest float64.
func toFloat(v value) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	if b := toBig(v); b != nil {
		f, _ := new(big.Float).SetInt(b).Float64()
		return f
	}
	return math.NaN()
}

// compareNumbers gives the order of two numbers, exact for integers against floats too. ok is false if one is not a number (NaN).
func compareNumbers(a, b value) (order int, ok bool) {
	x, xInt := a.(int64)
	y, yInt := b.(int64)
	if xInt && yInt {
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	p, q := bigFloat(a), bigFloat(b)
	if p == nil || q == nil {
		return 0, false
	}
	return p.Cmp(q), true
}

func bigFloat(v value) *big.Float {
	if f, ok := v.(float64); ok {
		if math.IsNaN(f) {
			return nil
		}
		return big.NewFloat(f)
	}
	return new(big.Float).SetInt(toBig(v)) // as precise as the integer needs
}

// numberKey is equal for equal numbers: 1, 1.0 and true are one dict key.
func numberKey(v value) string {
	if f, ok := v.(float64); ok {
		if f != math.Trunc(f) || math.IsInf(f, 0) || math.IsNaN(f) {
			return "f" + strconv.FormatFloat(f, 'g', -1, 64)
		}
		n, _ := big.NewFloat(f).Int(nil)
		return "n" + n.String()
	}
	return "n" + toBig(v).String()
}

// arithmetic is a op b for two numbers; op is one of + - * / // % **.
func (r *renderer) arithmetic(op string, a, b value) value {
	x, y := toBig(a), toBig(b)
	if x == nil || y == nil {
		return r.floatArithmetic(op, toFloat(a), toFloat(b))
	}
	z := new(big.Int)
	switch op {
	case "+":
		return r.integer(z.Add(x, y))
	case "-":
		return r.integer(z.Sub(x, y))
	case "*":
		return r.integer(z.Mul(x, y)) // both are bounded, so the product is too
	case "**":
		return r.intPower(x, y)
	case "/":
		if y.Sign() == 0 {
			r.fail(Runtime, "ZeroDivisionError: division by zero")
			return int64(0)
		}
		if x.Sign() == 0 {
			return 0 / toFloat(y) // its zero has a sign
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			r.fail(Runtime, "OverflowError: integer division result too large for a float")
		}
		return f
	}
	if y.Sign() == 0 {
		r.fail(Runtime, "ZeroDivisionError: integer division or modulo by zero")
		return int64(0)
	}
	m := new(big.Int)
	z.QuoRem(x, y, m) // truncated; Python rounds down
	if m.Sign() != 0 && (m.Sign() < 0) != (y.Sign() < 0) {
		z.Sub(z, big.NewInt(1))
		m.Add(m, y)
	}
	if op == "%" {
		return r.integer(m)
	}
	return r.integer(z)
}

func (r *renderer) intPower(x, y *big.Int) value {
	if y.Sign() < 0 {
		return r.floatArithmetic("**", toFloat(x), toFloat(y))
	}
	if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxIntBits/int64(x.BitLen()-1)) {
		r.fail(Limit, "%s", limitMessage("bits of an integer", maxIntBits))
		return int64(0)
	}
	if x.BitLen() <= 1 { // -1, 0 and 1 stay small whatever the exponent
		y = big.NewInt(int64(y.Bit(0)) + 2*int64(min(y.Sign(), 1)))
	}
	return r.integer(new(big.Int).Exp(x, y, nil))
}

func (r *renderer) floatArithmetic(op string, a, b float64) value {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		return r.floatPower(a, b)
	}
	if b == 0 {
		r.fail(Runtime, "ZeroDivisionError: float division by zero")
		return 0.0
	}
	if op == "/" {
		return a / b
	}
	mod := math.Mod(a, b) // exact
	div := (a - mod) / b
	if mod != 0 && (b < 0) != (mod < 0) {
		mod += b
		div--
	}
	if op == "%" {
		if mod == 0 {
			return math.Copysign(0, b)
		}
		return mod
	}
	if div == 0 {
		return math.Copysign(0, a/b)
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return floor
}

// floatPower may differ in the last bit between machines, as Python's does; a template that prints such a number is none of ours.
func (r *renderer) floatPower(a, b float64) value {
	switch f := math.Pow(a, b); {
	case a == 0 && b < 0:
		r.fail(Runtime, "ZeroDivisionError: 0.0 cannot be raised to a negative power")
	case a < 0 && b != math.Trunc(b) && !math.IsInf(b, 0) && !math.IsNaN(b):
		r.fail(Runtime, "want a real number, found a negative one raised to a fraction")
	case math.IsInf(f, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0):
		r.fail(Runtime, "OverflowError: (34, 'Numerical result out of range')")
	default:
		return f
	}
	return 0.0
}

// floatRepr is Python's repr of a float: the shortest text that reads back, with a point or an exponent.
func floatRepr(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if f == math.Trunc(f) {
		s += ".0"
	}
	return s
}
