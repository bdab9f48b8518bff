package server

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/outputs"
)

// outputsFile is what clients read to find the server. It is written into the
// data directory and served below wellKnown.
const outputsFile = "amplify_outputs.json"

// Outputs describes the server for clients that reach it at the URL base.
func (s *Server) Outputs(ctx context.Context, base string) (*outputs.Outputs, error) {
	def, err := s.cfg.defaultBucket()
	if err != nil {
		return nil, err
	}
	groups, err := s.users.Groups(ctx)
	if err != nil {
		return nil, err
	}
	region := s.cfg.region()
	out := &outputs.Outputs{
		Version: outputs.Version,
		Auth: &outputs.Auth{
			Region:           s.region,
			UserPoolID:       s.users.ID(),
			UserPoolClientID: s.users.ClientID(),
			IdentityPoolID:   s.identityPool,
			Guests:           !s.cfg.NoGuests,
		},
		Storage: &outputs.Storage{Region: region, Bucket: def.Name},
		Custom: &outputs.Custom{Cubby: &outputs.Cubby{
			S3Endpoint: base, IdentityPoolEndpoint: base, UserPoolEndpoint: base, PathStyle: true,
		}},
	}
	for i, g := range groups {
		out.Auth.Groups = append(out.Auth.Groups, outputs.Group{Name: g.Name, Precedence: i})
	}
	for _, b := range s.cfg.Buckets {
		out.Storage.Buckets = append(out.Storage.Buckets, outputs.Bucket{
			Name: b.Name, BucketName: b.Name, Region: region, Paths: b.Rules.paths(),
		})
	}
	return out, nil
}

// WriteOutputs writes amplify_outputs.json, for a server that is reached at the
// URL base, into the data directory.
func (s *Server) WriteOutputs(ctx context.Context, base string) error {
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

// paths returns the rules in the words of the outputs file. Rules about values
// that it has no word for, such as {username}, are left out.
func (r Rules) paths() map[string]map[string][]string {
	const sub = "${cognito-identity.amazonaws.com:sub}"
	paths := map[string]map[string][]string{}
	for _, rule := range r {
		path, who := rule.Path, rule.Who
		if name, ok := strings.CutPrefix(who, "group:"); ok {
			who = "groups" + name
		}
		if who == "owner" {
			who = "entityidentity"
		}
		if who == "entityidentity" {
			path = strings.ReplaceAll(path, "{entity_id}", sub)
		} else {
			path = strings.TrimSuffix(path, "{entity_id}/*")
			if path != rule.Path {
				path += "*"
			}
		}
		if strings.Contains(strings.ReplaceAll(path, sub, ""), "{") {
			continue
		}
		if paths[path] == nil {
			paths[path] = map[string][]string{}
		}
		if actions := rule.Actions &^ access.Versions; actions != 0 {
			paths[path][who] = strings.Split(actions.String(), ",")
		}
	}
	return paths
}
