package s3api

import "net/http"

// Settings of a bucket that clients read to find out what it does, and that Cubby
// does not have: they are answered as S3 answers for what nobody has set.

// notSet returns an operation that says with code that a setting is not there.
func notSet(code string) func(*call) error {
	return func(c *call) error {
		if err := c.view.Operate(c.ctx, "get settings of", c.target.bucket); err != nil {
			return err
		}
		return newError(code, "")
	}
}

// preset returns an operation that says what always holds: a document with this root,
// and path of elements in it around a text. A path of none is an empty document.
func preset(root, text string, path ...string) func(*call) error {
	return func(c *call) error {
		if err := c.view.Operate(c.ctx, "get settings of", c.target.bucket); err != nil {
			return err
		}
		x := newXML()
		x.root(root)
		for i := range path {
			x.open(path[i])
		}
		x.text(text)
		for i := range path {
			x.close(path[len(path)-1-i])
		}
		x.close(root)
		return c.xml(http.StatusOK, x)
	}
}
