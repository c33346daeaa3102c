package jinja

// node is a statement, or a piece of output.
type node interface{ lineNumber() int }

// line is embedded in every node.
type line int

func (l line) lineNumber() int { return int(l) }

type (
	dataNode struct {
		line
		text string
	}
	outputNode struct {
		line
		expr expr
	}
	ifNode struct {
		line
		branches []branch
		orElse   []node
	}
	branch struct {
		test expr
		body []node
	}
	forNode struct {
		line
		target       target
		iter, filter expr // filter may be nil
		body, orElse []node
		recursive    bool

		bodyFrame, elseFrame, testFrame *frame
	}
	setNode struct {
		line
		target target
		value  expr
	}
	blockNode struct { // set with a body, filter and generation blocks
		line
		target *target     // set: where the text goes; else nil and it is printed
		filter *filterExpr // nil: none; its innermost operand is nil and stands for the body
		body   []node
		frame  *frame
	}
	withNode struct {
		line
		targets []target
		values  []expr
		body    []node
		frame   *frame
	}
	macroNode struct {
		line
		def *macroDef
	}
	callNode struct {
		line
		call *callExpr
		body *macroDef
	}
	breakNode struct {
		line
		again bool
	} // again: continue
)

// macroDef is what {% macro %} and {% call %} define.
type macroDef struct {
	name     string
	params   []string
	defaults []expr // of the last parameters
	body     []node
	frame    *frame

	// Whether the body mentions these names, which are defined only then.
	usesCaller, usesVarargs, usesKwargs bool
}

// target is what can stand left of an assignment: a name, name.attr of a namespace, or a tuple of targets.
type target struct {
	name, attr string
	parts      []target
	isTuple    bool
}

// expr is an expression.
type expr interface{}

type (
	constExpr struct{ value value }
	nameExpr  struct{ name string }
	tupleExpr struct{ items []expr }
	listExpr  struct{ items []expr }
	dictExpr  struct{ keys, vals []expr }
	attrExpr  struct {
		of   expr
		name string
	}
	indexExpr struct{ of, index expr }
	sliceExpr struct{ of, start, stop, step expr } // parts may be nil
	callExpr  struct {
		fn   expr
		args argExprs
	}

	filterExpr struct {
		of     expr
		name   string
		args   argExprs
		filter builtin
	}
	testExpr struct {
		of   expr
		name string
		args argExprs
		test builtin
	}

	unaryExpr struct {
		op string
		of expr
	} // + - not
	binaryExpr struct {
		op          string
		left, right expr
	} // + - * / // % **
	logicExpr struct {
		and         bool
		left, right expr
	}
	concatExpr  struct{ parts []expr }
	compareExpr struct {
		first expr
		ops   []string
		rest  []expr
	}
	condExpr struct{ test, then, orElse expr } // orElse may be nil
)

// argExprs are the arguments of a call, a filter or a test.
type argExprs struct {
	pos    []expr
	names  []string // of the keyword arguments
	kw     []expr
	args   expr // *args, or nil
	kwargs expr // **kwargs, or nil
}
