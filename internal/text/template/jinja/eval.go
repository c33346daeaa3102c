package jinja

// eval gives the value of an expression. After a failure it gives nil at once.
func (r *renderer) eval(e expr, s *scope) value {
	if !r.enter() {
		return nil
	}
	defer r.leave()
	switch e := e.(type) {
	case *constExpr:
		return e.value
	case *nameExpr:
		return s.lookup(e.name)
	case *tupleExpr:
		return r.newSeq(tupleSeq, r.evalAll(e.items, s))
	case *listExpr:
		return r.list(r.evalAll(e.items, s))
	case *dictExpr:
		return r.evalDict(e, s)
	case *attrExpr:
		return r.attribute(r.eval(e.of, s), e.name)
	case *indexExpr:
		return r.item(r.eval(e.of, s), r.eval(e.index, s))
	case *sliceExpr:
		return r.evalSlice(e, s)
	case *callExpr:
		fn := r.eval(e.fn, s)
		return r.call(fn, r.evalArgs(e.args, s))
	case *filterExpr:
		return r.applyFilter(e, text{}, s)
	case *testExpr:
		v := r.eval(e.of, s)
		return r.callBuiltin(e.test, v, r.evalArgs(e.args, s))
	case *condExpr:
		return r.evalCond(e, s)
	}
	return r.evalOperator(e, s)
}

func (r *renderer) evalOperator(e expr, s *scope) value {
	switch e := e.(type) {
	case *logicExpr:
		left := r.eval(e.left, s)
		if truth(left) != e.and {
			return left
		}
		return r.eval(e.right, s)
	case *unaryExpr:
		return r.unary(e.op, r.eval(e.of, s))
	case *binaryExpr:
		left := r.eval(e.left, s)
		return r.binary(e.op, left, r.eval(e.right, s))
	case *concatExpr:
		b := r.newBuilder()
		for _, p := range e.parts {
			b.write(r.str(r.eval(p, s)))
		}
		return b.text()
	case *compareExpr:
		left := r.eval(e.first, s)
		for i, op := range e.ops {
			right := r.eval(e.rest[i], s)
			if r.err != nil || !r.compare(op, left, right) {
				return false
			}
			left = right
		}
		return true
	}
	return nil
}

func (r *renderer) evalAll(list []expr, s *scope) []value {
	out := make([]value, len(list))
	for i, e := range list {
		out[i] = r.eval(e, s)
	}
	return out
}

func (r *renderer) evalDict(e *dictExpr, s *scope) value {
	d := newDict()
	for i, k := range e.keys {
		key := r.eval(k, s)
		if val := r.eval(e.vals[i], s); r.err == nil {
			r.set(d, key, val)
		}
	}
	return d
}

func (r *renderer) evalCond(e *condExpr, s *scope) value {
	switch {
	case truth(r.eval(e.test, s)):
		return r.eval(e.then, s)
	case e.orElse != nil:
		return r.eval(e.orElse, s)
	}
	return undefined{message: "the inline if-expression evaluated to false and no else section was defined."}
}

// applyFilter runs a chain of filters; body stands for the operand of the innermost one where it has none.
func (r *renderer) applyFilter(e *filterExpr, body text, s *scope) value {
	var v value = body
	if f, ok := e.of.(*filterExpr); ok {
		if !r.enter() {
			return nil
		}
		v = r.applyFilter(f, body, s)
		r.leave()
	} else if e.of != nil {
		v = r.eval(e.of, s)
	}
	return r.callBuiltin(e.filter, v, r.evalArgs(e.args, s))
}

func (r *renderer) unary(op string, v value) value {
	if op == "not" {
		return !truth(v)
	}
	if u, ok := v.(undefined); ok {
		r.undefinedUse(u)
		return nil
	}
	if !isNumber(v) {
		r.typeError("bad operand type for unary %s: '%s'", op, typeName(v))
		return nil
	}
	if f, ok := v.(float64); ok && op == "-" {
		return -f
	}
	return r.arithmetic(op, int64(0), v)
}

// binary is left op right as Python does it: by the types of both.
func (r *renderer) binary(op string, left, right value) value {
	if r.err != nil {
		return nil
	}
	if t, ok := left.(text); ok && op == "%" {
		return r.percentFormat(t, right)
	}
	for _, v := range []value{left, right} {
		if u, ok := v.(undefined); ok {
			r.undefinedUse(u)
			return nil
		}
	}
	if isNumber(left) && isNumber(right) {
		return r.arithmetic(op, left, right)
	}
	switch op {
	case "+":
		if v, ok := r.add(left, right); ok {
			return v
		}
	case "*":
		if n, ok := toInt(left); ok {
			left, right = right, int64(n)
		}
		if n, ok := toInt(right); ok {
			if v, ok := r.multiply(left, n); ok {
				return v
			}
		}
	}
	r.typeError("unsupported operand type(s) for %s: '%s' and '%s'", op, typeName(left), typeName(right))
	return nil
}

func (r *renderer) add(left, right value) (value, bool) {
	switch x := left.(type) {
	case text:
		if y, ok := right.(text); ok {
			return r.concat(x, y), true
		}
	case *seq:
		y, ok := right.(*seq)
		if !ok || !(x.kind == listSeq && y.kind == listSeq || x.isTuple() && y.isTuple()) ||
			!r.allocN(len(x.items)+len(y.items)+1, valueCost) {
			return nil, false
		}
		items := append(append(make([]value, 0, len(x.items)+len(y.items)), x.items...), y.items...)
		if x.kind == groupSeq {
			return &seq{tupleSeq, items}, true
		}
		return &seq{x.kind, items}, true
	}
	return nil, false
}

// multiply repeats a text, list or tuple.
func (r *renderer) multiply(v value, n int) (value, bool) {
	switch v := v.(type) {
	case text:
		return r.repeat(v, n), true
	case *seq:
		if v.kind != listSeq && !v.isTuple() {
			return nil, false
		}
		n = max(n, 0)
		if len(v.items) == 0 {
			n = 0
		}
		out := &seq{kind: v.kind}
		if !r.allocN(n, len(v.items)*valueCost) {
			return out, true
		}
		for range n {
			out.items = append(out.items, v.items...)
		}
		return out, true
	}
	return nil, false
}
