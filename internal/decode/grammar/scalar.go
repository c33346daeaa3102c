package grammar

import (
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Numbers are bounded, or a model could write digits for ever: at most 15 digits before the point if the schema's bounds do not need
// more (every such integer is a float64 too), 16 behind it, two of an exponent, which is written only where there are no bounds.
const (
	wholeDigits    = 15
	fractionDigits = 16
	maxDigits      = 60 // of a bound
)

// value returns the term of the values that facts allow.
func (c *compiler) value(f *facts) (id, error) {
	if f.hasEnum {
		return c.enum(f)
	}
	var list []id
	add := func(t typeSet, term func(*facts) (id, error)) error {
		if f.types&t == 0 {
			return nil
		}
		n, err := term(f)
		list = append(list, n)
		return err
	}
	constant := func(words ...string) func(*facts) (id, error) {
		return func(*facts) (id, error) { return c.words(words), nil }
	}
	for _, err := range []error{
		add(typeNull, constant("null")),
		add(typeBool, constant("true", "false")),
		add(typeInteger|typeFraction, c.number),
		add(typeString, c.stringOf),
		add(typeArray, c.array),
		add(typeObject, c.object),
	} {
		if err != nil {
			return fail, err
		}
	}
	return c.alt(list...), nil
}

// enum returns the term of those values of an enum that the other facts allow.
func (c *compiler) enum(f *facts) (id, error) {
	var words []string
	for _, v := range f.enum {
		ok, err := c.allows(f, v)
		if err != nil {
			return fail, err
		}
		if ok {
			words = append(words, v.compact(false))
		}
	}
	return c.words(words), nil
}

// allows reports whether facts allow a value of their enum, whose type they do.
func (c *compiler) allows(f *facts, v *value) (bool, error) {
	switch v.kind {
	case '0':
		r, ok := number(v.text)
		if !ok {
			return f.low.limit == nil && f.high.limit == nil, nil
		}
		return f.low.allows(r, 1) && f.high.allows(r, -1), nil
	case '"':
		if n := int32(utf8.RuneCountInString(v.text)); n < f.minLength || n > f.maxLength {
			return false, nil
		}
		if len(f.patterns)+len(f.formats) == 0 {
			return true, nil
		}
		n, err := c.characters(f, true)
		return c.matches(n, string(appendJSONText(nil, v.text))), err
	case '[', '{':
		if len(f.arrays)+len(f.objects)+len(f.required) > 0 || f.minItems > 0 || f.maxItems < unbounded || f.minProperties > 0 ||
			f.maxProperties < unbounded {
			return false, refuse(v, "enum or const with arrays or objects is not supported beside other keywords about them")
		}
	}
	return true, nil
}

func (c *compiler) stringOf(f *facts) (id, error) {
	n, err := c.characters(f, false)
	quote := c.word(`"`)
	return c.lex(c.seq(quote, n, quote)), err
}

// characters returns the term of what stands between the quotes of a string, canonical: each character written in one way only.
// It is that always where there is more than a length to obey.
func (c *compiler) characters(f *facts, canonical bool) (id, error) {
	if f.minLength > f.maxLength {
		return fail, nil
	}
	one := c.anyCharacter()
	if len(f.patterns)+len(f.formats) > 0 || canonical {
		one = jsonText{}.class(c.arena, anyRune)
	}
	n := c.rep(one, f.minLength, f.maxLength)
	if len(f.patterns)+len(f.formats) == 0 {
		return n, nil
	}
	for _, list := range [][]*value{f.patterns, f.formats} {
		for _, v := range list {
			expr, ok := v.text, true
			if v.name == "format" {
				if expr, ok = formats[v.text]; !ok {
					return fail, refuse(v, "format %.40q is not supported, only %s are; remove it or write a pattern", v.text, strings.Join(formatNames(), ", "))
				}
			}
			if len(expr) > maxSource/4 {
				return fail, refuse(v, "has %d bytes, at most %d are allowed", len(expr), maxSource/4)
			}
			x, err := c.regex(javascript(expr), jsonText{}, true)
			if err != nil {
				return fail, refuse(v, "%v", err)
			}
			n = c.both(n, x)
		}
	}
	return n, nil
}

// both returns what matches n, which the lengths and patterns seen so far allow, and x, that of one more pattern. Where x is as
// short as n demands anyhow, or both are characters repeated, there is nothing to combine.
func (c *compiler) both(n, x id) id {
	length, t := c.terms[n], c.terms[x]
	if length.kind == kRep && c.single[id(length.a)] && length.a == int32(jsonText{}.class(c.arena, anyRune)) {
		if c.most(x) <= length.hi && (length.lo == 0 || length.lo == 1 && t.min > 0) || length.lo == 0 && length.hi == unbounded {
			return x
		}
		if t.kind == kRep && c.single[id(t.a)] {
			if lo, hi := max(t.lo, length.lo), min(t.hi, length.hi); lo <= hi {
				return c.rep(id(t.a), lo, hi)
			}
			return fail
		}
	}
	return c.and(n, x)
}

// javascript turns \uHHHH, which JavaScript's regular expressions have, into what Go's have for it.
func javascript(expr string) string {
	var b strings.Builder
	for i := 0; i < len(expr); i++ {
		if expr[i] != '\\' || i+1 == len(expr) {
			b.WriteByte(expr[i])
			continue
		}
		i++
		if expr[i] == 'u' && len(expr) >= i+5 && strings.Trim(expr[i+1:i+5], "0123456789abcdefABCDEF") == "" {
			b.WriteString(`\x{` + expr[i+1:i+5] + `}`)
			i += 4
		} else {
			b.WriteString(expr[i-1 : i+1])
		}
	}
	return b.String()
}

// anyCharacter returns the term of a character of a JSON string however it is written, but for halves of surrogate pairs.
func (c *compiler) anyCharacter() id {
	class := func(s string) id { return c.class(s) }
	hex := class("0-9a-fA-F")
	unit := func(first, second string) id { return c.seq(class(first), class(second), hex, hex) }
	return c.alt(
		plainText{}.class(c.arena, without(anyRune, mustEscape)),
		c.cat(c.word(`\`), c.alt(
			class(`"\/bfnrt`),
			c.cat(c.word(`u`), c.alt(
				unit("0-9a-cA-Ce-fE-F", "0-9a-fA-F"),
				unit("dD", "0-7"),
				c.seq(unit("dD", "89abAB"), c.word(`\u`), unit("dD", "c-fC-F")),
			)),
		)),
	)
}

// class returns the term of one of some bytes, written with ranges such as 0-9.
func (c *compiler) class(s string) id {
	var set byteSet
	for i := 0; i < len(s); i++ {
		if i+2 < len(s) && s[i+1] == '-' {
			set.addRange(s[i], s[i+2])
			i += 2
		} else {
			set.add(s[i])
		}
	}
	return c.set(set)
}

func (c *compiler) number(f *facts) (id, error) {
	if f.types&typeFraction == 0 {
		return c.lex(c.integer(f)), nil
	}
	digit := c.class("0-9")
	fraction := c.opt(c.cat(c.word("."), c.rep(digit, 1, fractionDigits)))
	if f.low.limit == nil && f.high.limit == nil {
		exponent := c.opt(c.seq(c.class("eE"), c.opt(c.class("+-")), c.rep(digit, 1, 2)))
		return c.lex(c.seq(c.opt(c.word("-")), c.naturals(new(big.Int), nil), fraction, exponent)), nil
	}
	zero := new(big.Rat)
	plus := c.decimals(narrower(f.low, bound{limit: zero}, 1), f.high)
	minus := c.decimals(narrower(negative(f.high), bound{zero, true}, 1), negative(f.low))
	return c.lex(c.alt(plus, c.cat(c.word("-"), minus))), nil
}

func negative(b bound) bound {
	if b.limit != nil {
		b.limit = new(big.Rat).Neg(b.limit)
	}
	return b
}

// integer returns the term of the integers within the bounds.
func (c *compiler) integer(f *facts) id {
	var low, high *big.Int
	one := big.NewInt(1)
	if f.low.limit != nil {
		low = floor(f.low.limit)
		if !f.low.limit.IsInt() || f.low.exclusive {
			low.Add(low, one)
		}
	}
	if f.high.limit != nil {
		high = floor(f.high.limit)
		if f.high.limit.IsInt() && f.high.exclusive {
			high.Sub(high, one)
		}
	}
	zero := new(big.Int)
	plus := zero
	if low != nil && low.Sign() > 0 {
		plus = low
	}
	minus := one
	if high != nil && high.Sign() < 0 {
		minus = new(big.Int).Neg(high)
	}
	negative := low
	if low != nil {
		negative = new(big.Int).Neg(low)
	}
	return c.alt(c.naturals(plus, high), c.cat(c.word("-"), c.naturals(minus, negative)))
}

// floor returns the greatest integer that is not above x.
func floor(x *big.Rat) *big.Int { return new(big.Int).Div(x.Num(), x.Denom()) }

// naturals returns the term of the integers from low, at least 0, to high, nil for no bound.
func (c *compiler) naturals(low, high *big.Int) id {
	if high != nil && high.Cmp(low) < 0 {
		return fail
	}
	first := low.String()
	last := strings.Repeat("9", max(wholeDigits, len(first)))
	if high != nil {
		last = high.String()
	}
	var list []id
	for digits := len(first); digits <= len(last); digits++ {
		from, to := "1"+strings.Repeat("0", digits-1), strings.Repeat("9", digits)
		if digits == len(first) {
			from = first
		} else if high == nil && digits == len(first)+1 { // all that are longer
			list = append(list, c.cat(c.class("1-9"), c.rep(c.class("0-9"), int32(digits-1), int32(len(last)-1))))
			break
		}
		if digits == len(last) {
			to = last
		}
		list = append(list, c.span(from, to, '0', '9'))
	}
	return c.alt(list...)
}

// decimals returns the term of the decimal fractions between two bounds, the lower of them at least 0.
func (c *compiler) decimals(low, high bound) id {
	if high.limit != nil && (high.limit.Cmp(low.limit) < 0 || high.limit.Cmp(low.limit) == 0 && (low.exclusive || high.exclusive)) {
		return fail
	}
	whole, rest := split(low.limit)
	atLeast := c.fractionFrom(rest, low.exclusive)
	some := c.opt(c.cat(c.word("."), c.rep(c.class("0-9"), 1, fractionDigits)))
	after := new(big.Int).Add(whole, big.NewInt(1))
	if high.limit == nil {
		return c.alt(c.cat(c.word(whole.String()), atLeast), c.cat(c.naturals(after, nil), some))
	}
	last, rest := split(high.limit)
	atMost := c.fractionTo(rest, high.exclusive)
	if whole.Cmp(last) == 0 {
		return c.cat(c.word(whole.String()), c.and(atLeast, atMost))
	}
	before := new(big.Int).Sub(last, big.NewInt(1))
	return c.alt(
		c.cat(c.word(whole.String()), atLeast),
		c.cat(c.naturals(after, before), some),
		c.cat(c.word(last.String()), atMost),
	)
}

// split returns what stands before and behind the decimal point of a number that is not negative, without zeros at the end.
func split(x *big.Rat) (whole *big.Int, rest string) {
	_, rest, _ = strings.Cut(x.FloatString(maxDigits+maxExponent), ".") // exact: a bound is a decimal number
	return floor(x), strings.TrimRight(rest, "0")
}

// fractionFrom returns the term of a point and digits, or nothing, of at least (or more than) 0.rest.
func (c *compiler) fractionFrom(rest string, exclusive bool) id {
	digit := c.class("0-9")
	any := c.rep(digit, 0, fractionDigits)
	var list []id
	for i := range rest {
		if rest[i] < '9' {
			list = append(list, c.seq(c.word(rest[:i]), c.class(string(rest[i]+1)+"-9"), any))
		}
	}
	more := c.seq(c.rep(c.word("0"), 0, fractionDigits), c.class("1-9"), any)
	switch {
	case exclusive:
		list = append(list, c.cat(c.word(rest), more))
	case rest == "":
		return c.opt(c.cat(c.word("."), c.rep(digit, 1, fractionDigits)))
	default:
		list = append(list, c.cat(c.word(rest), any))
	}
	return c.cat(c.word("."), c.alt(list...))
}

// fractionTo returns the term of a point and digits, or nothing, of at most (or less than) 0.rest.
func (c *compiler) fractionTo(rest string, exclusive bool) id {
	any := c.rep(c.class("0-9"), 0, fractionDigits)
	zeros := c.rep(c.word("0"), 0, fractionDigits)
	if rest == "" {
		if exclusive {
			return fail
		}
		return c.opt(c.seq(c.word(".0"), zeros))
	}
	var list []id
	for i := range rest {
		if i > 0 {
			list = append(list, c.word(rest[:i]))
		}
		if rest[i] > '0' {
			list = append(list, c.seq(c.word(rest[:i]), c.class("0-"+string(rest[i]-1)), any))
		}
	}
	if !exclusive {
		list = append(list, c.seq(c.word(rest), zeros))
	}
	return c.opt(c.cat(c.word("."), c.alt(list...)))
}

func formatNames() []string {
	names := make([]string, 0, len(formats))
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
