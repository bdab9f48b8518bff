package outputs

// v5Keys are the keys of Auth by which the configuration of aws-amplify 5 is known.
var v5Keys = []string{
	"identityPoolId", "userPoolId", "userPoolWebClientId", "region", "mandatorySignIn", "oauth", "signUpVerificationMethod", "endpoint",
}

// v5Levels are the words of aws-amplify 5, of which one is another.
var v5Levels = []pair{{"guest", "public"}, {"protected", "protected"}, {"private", "private"}}

// v5 reads the object that Amplify.configure took before aws-amplify 6.
func (r *reader) v5(n node) *Outputs {
	r.object(n)
	o := new(Outputs)
	if a, ok := r.frame(n, "Auth"); ok && r.has(a, v5Keys...) {
		o.Auth = r.v5Auth(a, o)
	}
	s, ok := r.frame(n, "Storage")
	if !ok {
		return o
	}
	if s3, ok := r.sub(s, "AWSS3"); ok {
		o.Storage = r.v5Storage(s3, o)
	} else if r.has(s, "bucket", "region") { // as it was before there were other providers
		o.Storage = r.v5Storage(s, o)
		if o.Auth == nil && r.has(s, "identityPoolId") {
			o.Auth = &Auth{IdentityPoolID: r.optional(s, "identityPoolId"), Guests: true}
			id, _ := r.look(s, "identityPoolId")
			r.pools(o.Auth, id, id)
		} else if o.Auth != nil {
			r.same(s, "identityPoolId", o.Auth.IdentityPoolID)
		}
	}
	return o
}

// has reports whether an object has one of the fields.
func (r *reader) has(n node, names ...string) bool {
	for _, name := range names {
		if _, ok := r.look(n, name); ok {
			return true
		}
	}
	return false
}

func (r *reader) v5Auth(n node, o *Outputs) *Auth {
	a := &Auth{
		Region:             r.optional(n, "region"),
		UserPoolID:         r.optional(n, "userPoolId"),
		UserPoolClientID:   r.optional(n, "userPoolWebClientId"),
		IdentityPoolID:     r.optional(n, "identityPoolId"),
		Guests:             !r.flag(n, "mandatorySignIn", false),
		SignUpVerification: r.choice(n, "signUpVerificationMethod", "code", "link"),
		OAuth:              r.oauth(n),
	}
	user, _ := r.look(n, "userPoolId")
	id, _ := r.look(n, "identityPoolId")
	r.pools(a, user, id)
	r.same(n, "identityPoolRegion", a.Region)
	if s := r.endpoint(n, "endpoint"); s != "" {
		o.cubby().UserPoolEndpoint = s
	}
	return a
}

func (r *reader) v5Storage(n node, o *Outputs) *Storage {
	s := &Storage{Bucket: r.optional(n, "bucket"), Region: r.optional(n, "region")}
	if s.Bucket == "" {
		r.lint(n, "names no bucket")
	} else if s.Region == "" {
		r.lint(n, "has no region, and without one nothing can be signed")
	}
	s.Level = r.choice(n, "level", "public", "protected", "private")
	if word, ok := ours(v5Levels, s.Level); ok {
		s.Level = word
	}
	r.localTesting(n, localFlag, o)
	return s
}

// v5 writes the object that Amplify.configure took before aws-amplify 6.
func (w *writer) v5() *value {
	root := newObject()
	var c Cubby
	if w.o.Custom != nil && w.o.Custom.Cubby != nil {
		c = *w.o.Custom.Cubby
	}
	if a := w.o.Auth; a != nil {
		v := w.v5Auth(a)
		v.setText("endpoint", c.UserPoolEndpoint)
		root.set("Auth", v)
	} else if c.UserPoolEndpoint != "" {
		w.lost("custom.cubby.user_pool_endpoint")
	}
	if c.IdentityPoolEndpoint != "" {
		w.lost("custom.cubby.identity_pool_endpoint")
	}
	said := w.o.local() && w.o.Storage != nil
	if c.S3Endpoint != "" && !said {
		w.lost("custom.cubby.s3_endpoint")
	}
	if c.PathStyle && !said {
		w.lost("custom.cubby.path_style")
	}
	if s := w.o.Storage; s != nil {
		x, storage := newObject(), newObject()
		x.setText("bucket", s.Bucket)
		x.setText("region", s.Region)
		level := s.Level
		if word, ok := theirs(v5Levels, level); ok {
			level = word
		}
		x.setText("level", level)
		x.setTrue(localFlag, said)
		storage.set("AWSS3", x)
		root.set("Storage", storage)
		w.oneBucket(s)
	}
	w.schema()
	return root
}

func (w *writer) v5Auth(a *Auth) *value {
	v := newObject()
	v.setText("identityPoolId", a.IdentityPoolID)
	v.set("region", newText(a.Region))
	v.setText("userPoolId", a.UserPoolID)
	v.setText("userPoolWebClientId", a.UserPoolClientID)
	v.setTrue("mandatorySignIn", !a.Guests)
	v.setText("signUpVerificationMethod", a.SignUpVerification)
	v.set("oauth", w.oauth(a.OAuth))
	h := a.OAuth
	if h == nil {
		h = new(OAuth)
	}
	for _, lost := range []struct {
		path string
		said bool
	}{
		{"auth.oauth.identity_providers", len(h.Providers) > 0},
		{"auth.oauth.custom_providers", len(h.Custom) > 0},
		{"auth.username_attributes", a.UsernameAttributes != nil},
		{"auth.standard_required_attributes", a.RequiredAttributes != nil},
		{"auth.user_verification_types", a.VerificationTypes != nil},
		{"auth.mfa_configuration", a.MFA != ""},
		{"auth.mfa_methods", a.MFAMethods != nil},
		{"auth.password_policy", a.Password != nil},
		{"auth.groups", len(a.Groups) > 0},
		{"auth.passwordless", a.Passwordless != nil},
	} {
		if lost.said {
			w.lost(lost.path)
		}
	}
	return v
}
