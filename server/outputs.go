package server

import (
	"bytes"
	"context"
	"path/filepath"

	"github.com/cubby-storage/cubby/outputs"
)

// outputsFile is what clients read to find the server. It is written into the
// data directory and served below wellKnown.
const outputsFile = "amplify_outputs.json"

// Outputs describes the server for clients that reach it at the URL base.
func (s *Server) Outputs(ctx context.Context, base string) (*outputs.Outputs, error) {
	out, _, err := s.describe(ctx, s.cfg, s.rules.Load().cfg, base)
	return out, err
}

// Outputs describes the server that cfg is the settings of, for clients that reach
// it at the URL base. The warnings tell what of the rules clients cannot be told.
func (a *Admin) Outputs(ctx context.Context, cfg *Config, base string) (*outputs.Outputs, []outputs.Warning, error) {
	return a.describe(ctx, cfg, cfg, base)
}

// describe describes a server. Its buckets are those of rules, which may be newer
// than the settings with which it started.
func (a *Admin) describe(ctx context.Context, cfg, rules *Config, base string) (*outputs.Outputs, []outputs.Warning, error) {
	// Rules about values that the file has no word for, such as {username}, are left out.
	out, warnings, err := rules.Storage()
	if err != nil {
		return nil, nil, err
	}
	groups, err := a.users.Groups(ctx)
	if err != nil {
		return nil, nil, err
	}
	out.Version = outputs.Version
	out.Auth = &outputs.Auth{
		Region:           a.region,
		UserPoolID:       a.users.ID(),
		UserPoolClientID: a.users.ClientID(),
		IdentityPoolID:   a.identityPool,
		Guests:           !cfg.NoGuests,
	}
	for i, g := range groups {
		out.Auth.Groups = append(out.Auth.Groups, outputs.Group{Name: g.Name, Precedence: i})
	}
	out.Storage.Region = cfg.region()
	for i := range out.Storage.Buckets {
		out.Storage.Buckets[i].Region = cfg.region()
	}
	out.Custom = &outputs.Custom{Cubby: &outputs.Cubby{
		S3Endpoint: base, IdentityPoolEndpoint: base, UserPoolEndpoint: base, PathStyle: true,
	}}
	return out, warnings, nil
}

// WriteOutputs writes amplify_outputs.json, for a server that is reached at the
// URL base, into the data directory. From then on the server does so by itself when
// its rules change.
func (s *Server) WriteOutputs(ctx context.Context, base string) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	s.reload.base = base
	return s.writeOutputs(ctx, base)
}

func (s *Server) writeOutputs(ctx context.Context, base string) error {
	text, err := s.outputsText(ctx, base)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Data, outputsFile), text)
}

func (s *Server) outputsText(ctx context.Context, base string) ([]byte, error) {
	out, err := s.Outputs(ctx, base)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = out.Write(&text)
	return text.Bytes(), err
}
