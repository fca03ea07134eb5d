package template

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// check finds fields that do not exist, in branches that no trial takes too.
// text/template itself notices only while it executes them.
func check(t *texttemplate.Template) error {
	c := checker{template: t, seen: map[seen]bool{}}
	c.tree(t.Tree, reflect.TypeFor[Data]())
	return errors.Join(c.problems...)
}

type seen struct {
	name string
	dot  reflect.Type
}

// checker walks a parse tree with the type of the dot. A nil type is one that
// cannot be known before the template runs; what hangs on it is not checked.
type checker struct {
	template *texttemplate.Template
	current  *parse.Tree
	seen     map[seen]bool
	problems []error
}

type variables map[string]reflect.Type

func (v variables) with(name string, t reflect.Type) variables {
	inner := variables{name: t}
	for k, old := range v {
		if k != name {
			inner[k] = old
		}
	}
	return inner
}

func (c *checker) tree(t *parse.Tree, dot reflect.Type) {
	key := seen{t.Name, dot}
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	outer := c.current
	c.current = t
	c.list(t.Root, dot, variables{"$": dot})
	c.current = outer
}

func (c *checker) list(l *parse.ListNode, dot reflect.Type, vars variables) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		vars = c.node(n, dot, vars)
	}
}

// node returns the variables that hold after it.
func (c *checker) node(n parse.Node, dot reflect.Type, vars variables) variables {
	switch n := n.(type) {
	case *parse.ActionNode:
		_, vars = c.pipe(n.Pipe, dot, vars)
	case *parse.IfNode:
		_, inner := c.pipe(n.Pipe, dot, vars)
		c.list(n.List, dot, inner)
		c.list(n.ElseList, dot, inner)
	case *parse.WithNode:
		t, inner := c.pipe(n.Pipe, dot, vars)
		c.list(n.List, t, inner)
		c.list(n.ElseList, dot, inner)
	case *parse.RangeNode:
		c.loop(n, dot, vars)
	case *parse.TemplateNode:
		t, _ := c.pipe(n.Pipe, dot, vars)
		named := c.template.Lookup(n.Name)
		if named == nil || named.Tree == nil {
			c.problem(n, "unknown template %q", n.Name)
			break
		}
		c.tree(named.Tree, t)
	}
	return vars
}

func (c *checker) loop(n *parse.RangeNode, dot reflect.Type, vars variables) {
	over, inner := c.pipe(n.Pipe, dot, vars)
	var key, element reflect.Type
	if over != nil {
		switch over.Kind() {
		case reflect.Slice, reflect.Array:
			key, element = reflect.TypeFor[int](), over.Elem()
		case reflect.Map:
			key, element = over.Key(), over.Elem()
		case reflect.Int, reflect.Int64:
			key, element = over, over
		default:
			c.problem(n, "range over %s", n.Pipe)
		}
	}
	switch declared := n.Pipe.Decl; len(declared) {
	case 1:
		inner = inner.with(declared[0].Ident[0], element)
	case 2:
		inner = inner.with(declared[0].Ident[0], key).with(declared[1].Ident[0], element)
	}
	c.list(n.List, element, inner)
	c.list(n.ElseList, dot, inner)
}

// pipe returns the type of the pipeline's value and the variables after it.
func (c *checker) pipe(p *parse.PipeNode, dot reflect.Type, vars variables) (reflect.Type, variables) {
	if p == nil {
		return nil, vars
	}
	var result reflect.Type
	for _, command := range p.Cmds {
		result = nil
		for i, arg := range command.Args {
			t := c.value(arg, dot, vars)
			if i == 0 && len(p.Cmds) == 1 && (len(command.Args) == 1 || isMethodCall(arg)) {
				result = t
			}
		}
	}
	for _, v := range p.Decl {
		vars = vars.with(v.Ident[0], result)
	}
	return result, vars
}

func isMethodCall(n parse.Node) bool {
	switch n.(type) {
	case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode:
		return true
	default:
		return false
	}
}

func (c *checker) value(n parse.Node, dot reflect.Type, vars variables) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return c.fields(n, dot, n.Ident)
	case *parse.VariableNode:
		return c.fields(n, vars[n.Ident[0]], n.Ident[1:])
	case *parse.ChainNode:
		return c.fields(n, c.value(n.Node, dot, vars), n.Field)
	case *parse.PipeNode:
		t, _ := c.pipe(n, dot, vars)
		return t
	default:
		return nil
	}
}

// fields follows names from t on.
func (c *checker) fields(n parse.Node, t reflect.Type, names []string) reflect.Type {
	for _, name := range names {
		if t == nil {
			return nil
		}
		if method, ok := t.MethodByName(name); ok {
			if t = nil; method.Type.NumOut() > 0 {
				t = method.Type.Out(0)
			}
			continue
		}
		switch t.Kind() {
		case reflect.Map:
			t = t.Elem()
		case reflect.Interface:
			return nil
		case reflect.Struct:
			field, ok := t.FieldByName(name)
			if !ok || !field.IsExported() {
				c.unknown(n, t, name)
				return nil
			}
			t = field.Type
		default:
			c.problem(n, "unknown field .%s: %s has no fields", name, n)
			return nil
		}
	}
	return t
}

func (c *checker) unknown(n parse.Node, t reflect.Type, name string) {
	var known []string
	for field := range t.Fields() {
		if field.IsExported() {
			known = append(known, field.Name)
		}
	}
	if near := suggest.Nearest(name, known...); near != "" {
		c.problem(n, "unknown field .%s: did you mean .%s?", name, near)
		return
	}
	c.problem(n, "unknown field .%s: known are %s", name, suggest.List(known...))
}

func (c *checker) problem(n parse.Node, format string, args ...any) {
	location, _ := c.current.ErrorContext(n) // "template:LINE:COLUMN"
	line := location
	if parts := strings.Split(location, ":"); len(parts) > 1 {
		line = parts[1]
	}
	c.problems = append(c.problems, fmt.Errorf("line %s: %s", line, fmt.Sprintf(format, args...)))
}
