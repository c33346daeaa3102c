package jinja

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

func filterAbs(a *arguments) value {
	if f, ok := a.self.(float64); ok {
		return math.Abs(f)
	}
	n := toBig(a.self)
	if n == nil {
		a.r.typeError("bad operand type for abs(): '%s'", typeName(a.self))
		return nil
	}
	return a.r.integer(new(big.Int).Abs(n))
}

// filterInt reads a number, else gives the default: '42.23' | int is 42.
func filterInt(a *arguments) value {
	def := a.val(0, int64(0))
	switch v := a.self.(type) {
	case undefined:
		a.r.undefinedUse(v)
		return nil
	case bool, int64, *big.Int:
		return a.r.integer(toBig(v))
	case float64:
		return a.r.truncate(v, def)
	case text:
		if n, ok := pythonInt(v.s, a.int(1, 10)); ok {
			return a.r.integer(n)
		}
		if f, ok := pythonFloat(v.s); ok {
			return a.r.truncate(f, def)
		}
	}
	return def
}

func (r *renderer) truncate(f float64, def value) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return def
	}
	n, _ := big.NewFloat(f).Int(nil)
	return r.integer(n)
}

// maxDigits bounds the text of a number; Python's own bound is 4300.
const maxDigits = 1000

// pythonInt is Python's int(s, base).
func pythonInt(s string, base int) (*big.Int, bool) {
	s = strings.TrimFunc(s, isSpace)
	if len(s) > maxDigits || base != 0 && (base < 2 || base > 36) {
		return nil, false
	}
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	if prefix := strings.ToLower(s[:min(2, len(s))]); base == 16 && prefix == "0x" || base == 8 && prefix == "0o" || base == 2 && prefix == "0b" {
		s = strings.TrimPrefix(s[2:], "_")
	}
	digits := strings.ReplaceAll(s, "_", "")
	if base != 0 && strings.ContainsAny(digits, "+-") || strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") {
		return nil, false
	}
	return new(big.Int).SetString(sign+digits, base)
}

// underscores are allowed between digits.
var digitUnderscore = regexp.MustCompile(`(\d)_(\d)`)

// pythonFloat is Python's float(s): Go's numbers without hexadecimal ones.
func pythonFloat(s string) (float64, bool) {
	s = strings.TrimFunc(s, isSpace)
	if len(s) > maxDigits || strings.ContainsAny(s, "xXpP") {
		return 0, false
	}
	for range 2 { // twice, since matches that share a digit count as one: 1_2_3
		s = digitUnderscore.ReplaceAllString(s, "$1$2")
	}
	if strings.Contains(s, "_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

func filterFloat(a *arguments) value {
	switch v := a.self.(type) {
	case undefined:
		a.r.undefinedUse(v)
		return nil
	case text:
		if f, ok := pythonFloat(v.s); ok {
			return f
		}
	case bool, int64, float64, *big.Int:
		return toFloat(v)
	}
	return a.val(0, 0.0)
}

func filterRound(a *arguments) value {
	if !isNumber(a.self) {
		a.badType(a.self, "float")
		return nil
	}
	digits := max(-400, min(a.int(0, 0), 400)) // beyond, nothing or everything is rounded away
	method := a.text(1, "common").s
	f, isFloat := a.self.(float64)
	switch {
	case method != "common" && method != "ceil" && method != "floor":
		a.r.fail(Runtime, "method must be common, ceil or floor")
	case method == "common" && !isFloat && digits >= 0:
		return a.r.integer(toBig(a.self))
	case method == "common":
		if !isFloat {
			return a.r.integer(roundInt(toBig(a.self), -digits))
		}
		return roundFloat(f, digits)
	default:
		scale := math.Pow10(digits)
		x := toFloat(a.self) * scale
		if method == "ceil" {
			return math.Ceil(x) / scale
		}
		return math.Floor(x) / scale
	}
	return nil
}

// roundInt rounds to a multiple of 10^zeros, half to even.
func roundInt(n *big.Int, zeros int) *big.Int {
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(zeros)), nil)
	q, m := new(big.Int).DivMod(n, unit, new(big.Int))
	if c := m.Lsh(m, 1).Cmp(unit); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(1))
	}
	return q.Mul(q, unit)
}

// roundFloat is Python's round(f, digits): the decimal that is nearest to the exact value, half to even.
func roundFloat(f float64, digits int) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return f
	}
	if digits < 0 {
		scaled, _ := new(big.Float).SetInt(roundInt(bigTrunc(f), -digits)).Float64()
		return scaled
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
	if err != nil {
		return f
	}
	return r
}

func bigTrunc(f float64) *big.Int {
	n, _ := big.NewFloat(f).Int(nil)
	return n
}
