package jinja

// names calls f for each variable that an expression reads, from left to right.
func names(e expr, f func(name string)) {
	switch e := e.(type) {
	case *nameExpr:
		f(e.name)
	case *tupleExpr:
		allNames(e.items, f)
	case *listExpr:
		allNames(e.items, f)
	case *dictExpr:
		for i := range e.keys {
			names(e.keys[i], f)
			names(e.vals[i], f)
		}
	case *attrExpr:
		names(e.of, f)
	case *indexExpr:
		names(e.of, f)
		names(e.index, f)
	case *sliceExpr:
		allNames([]expr{e.of, e.start, e.stop, e.step}, f)
	case *callExpr:
		names(e.fn, f)
		argNames(e.args, f)
	case *filterExpr:
		names(e.of, f)
		argNames(e.args, f)
	case *testExpr:
		names(e.of, f)
		argNames(e.args, f)
	case *unaryExpr:
		names(e.of, f)
	case *binaryExpr:
		names(e.left, f)
		names(e.right, f)
	case *logicExpr:
		names(e.left, f)
		names(e.right, f)
	case *concatExpr:
		allNames(e.parts, f)
	case *compareExpr:
		names(e.first, f)
		allNames(e.rest, f)
	case *condExpr:
		allNames([]expr{e.test, e.then, e.orElse}, f)
	}
}

func allNames(list []expr, f func(name string)) {
	for _, e := range list {
		names(e, f)
	}
}

func argNames(a argExprs, f func(name string)) {
	allNames(a.pos, f)
	allNames(a.kw, f)
	names(a.args, f)
	names(a.kwargs, f)
}
