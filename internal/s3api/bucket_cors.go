package s3api

import (
	"context"
	"net/http"
)

// Documents keeps settings of buckets, each a small text under a name.
type Documents interface {
	// Document returns the text, or "" if there is none. It is asked for on every
	// request, so it must not wait for anything.
	Document(bucket, name string) string
	// SetDocument keeps the text in place of any before it; "" removes it.
	SetDocument(ctx context.Context, bucket, name, text string) error
	// Forget removes all documents of a bucket.
	Forget(ctx context.Context, bucket string) error
}

// corsDocument is the name of the rules that PutBucketCors gives a bucket.
const corsDocument = "cors"

// forget removes the documents of a bucket that is gone or new.
func (c *call) forget() error {
	if c.s.opts.Documents == nil {
		return nil
	}
	c.s.shared.Delete(c.target.bucket)
	return c.s.opts.Documents.Forget(c.ctx, c.target.bucket)
}

func getBucketCORS(c *call) error {
	if err := c.view.Operate(c.ctx, "get cors of", c.target.bucket); err != nil {
		return err
	}
	text := ""
	if d := c.s.opts.Documents; d != nil {
		text = d.Document(c.target.bucket, corsDocument)
	}
	if text == "" {
		return newError("NoSuchCORSConfiguration", "")
	}
	return c.xml(http.StatusOK, &xmlWriter{b: []byte(text)})
}

func putBucketCORS(c *call) error {
	if err := c.view.Operate(c.ctx, "set cors of", c.target.bucket); err != nil {
		return err
	}
	text, err := c.document(maxCORSBody, true)
	if err != nil {
		return err
	}
	rules, err := parseCORS(text)
	if err != nil {
		return err
	}
	return c.setCORS(string(rules.document()), http.StatusOK)
}

func deleteBucketCORS(c *call) error {
	if err := c.view.Operate(c.ctx, "delete cors of", c.target.bucket); err != nil {
		return err
	}
	return c.setCORS("", http.StatusNoContent)
}

func (c *call) setCORS(text string, status int) error {
	d := c.s.opts.Documents
	if d == nil {
		return newError("NotImplemented", "CORS by bucket is not implemented here.")
	}
	if err := d.SetDocument(c.ctx, c.target.bucket, corsDocument, text); err != nil {
		return err
	}
	c.header(status)
	return nil
}
