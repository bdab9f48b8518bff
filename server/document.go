package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"sync"
)

// document is amplify_outputs.json as strangers get it. It is made once for the rules
// and groups that it tells of, and only the URL in it differs between requests: so it
// costs little, whatever the names by which the server is asked.
type document struct {
	sync.Mutex
	rules  *rules
	groups []string
	made   []byte // with mark for the URL
	mark   string
}

// text returns the document of s for clients that reach it at the URL base.
func (d *document) text(ctx context.Context, s *Server, base string) ([]byte, error) {
	made, mark, err := d.template(ctx, s)
	if err != nil {
		return nil, err
	}
	var url bytes.Buffer
	enc := json.NewEncoder(&url)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(base); err != nil {
		return nil, err
	}
	quoted := bytes.TrimSpace(url.Bytes())
	return bytes.ReplaceAll(made, []byte(mark), quoted[1:len(quoted)-1]), nil
}

func (d *document) template(ctx context.Context, s *Server) (made []byte, mark string, err error) {
	all, err := s.users.Groups(ctx)
	if err != nil {
		return nil, "", err
	}
	groups := make([]string, len(all))
	for i, g := range all {
		groups[i] = g.Name
	}
	d.Lock()
	defer d.Unlock()
	now := s.rules.Load()
	if d.made == nil || d.rules != now || !slices.Equal(d.groups, groups) {
		mark := "http://" + rand.Text() // which stands nowhere else
		made, err := s.outputsText(ctx, mark)
		if err != nil {
			return nil, "", err
		}
		d.rules, d.groups, d.made, d.mark = now, groups, made, mark
	}
	return d.made, d.mark, nil
}
