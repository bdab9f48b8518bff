package outputs

import (
	"fmt"
	"slices"
	"strings"
)

// gen1 is how a format of the first generation calls what is said about users.
type gen1 struct {
	username, social, signup, mfa, methods, password, verification string
}

var (
	exportNames = gen1{
		"aws_cognito_username_attributes", "aws_cognito_social_providers", "aws_cognito_signup_attributes", "aws_cognito_mfa_configuration",
		"aws_cognito_mfa_types", "aws_cognito_password_protection_settings", "aws_cognito_verification_mechanisms",
	}
	exportProviders = []pair{{"GOOGLE", "GOOGLE"}, {"FACEBOOK", "FACEBOOK"}, {"LOGIN_WITH_AMAZON", "AMAZON"}, {"SIGN_IN_WITH_APPLE", "APPLE"}}
	exportMFA       = []pair{{"NONE", "OFF"}, {"OPTIONAL", "OPTIONAL"}, {"REQUIRED", "ON"}}
)

const exportFlag = "aws_user_files_s3_dangerously_connect_to_http_endpoint_for_testing"

// exports reads aws-exports.js and the amplifyconfiguration.json of JavaScript.
func (r *reader) exports(n node) *Outputs {
	r.object(n)
	o := new(Outputs)
	project, ok := r.look(n, "aws_project_region")
	if !ok {
		r.fail(project, "is missing, and aws-amplify refuses the file without it")
	} else if project.value.kind != text {
		r.fail(project, "must be a text")
	}
	r.cubby(n, o)
	// An empty text is as good as none.
	has := func(name string) bool {
		f, ok := r.look(n, name)
		return ok && (f.value.kind != text || f.value.text != "")
	}
	if has("aws_cognito_identity_pool_id") || has("aws_user_pools_id") {
		o.Auth = r.exportsAuth(n)
	}
	if has("aws_user_files_s3_bucket") {
		o.Storage = &Storage{
			Bucket: r.optional(n, "aws_user_files_s3_bucket"), Region: r.optional(n, "aws_user_files_s3_bucket_region"),
		}
		if o.Storage.Region == "" {
			r.lint(n, "has no aws_user_files_s3_bucket_region, and without one nothing can be signed")
		}
		r.localTesting(n, exportFlag, o)
	}
	// It is written anew from the regions of users and files, if it is one of them.
	if project.value.text == o.region() {
		project.value.read = done
	}
	return o
}

// region returns the region of the project as a whole.
func (o *Outputs) region() string {
	switch {
	case o.Auth != nil && o.Auth.Region != "":
		return o.Auth.Region
	case o.Storage != nil:
		return o.Storage.Region
	}
	return ""
}

func (r *reader) exportsAuth(n node) *Auth {
	a := &Auth{
		Region:             r.optional(n, "aws_cognito_region"),
		UserPoolID:         r.optional(n, "aws_user_pools_id"),
		UserPoolClientID:   r.optional(n, "aws_user_pools_web_client_id"),
		IdentityPoolID:     r.optional(n, "aws_cognito_identity_pool_id"),
		Guests:             true,
		SignUpVerification: r.choice(n, "aws_cognito_sign_up_verification_method", "code", "link"),
	}
	user, _ := r.look(n, "aws_user_pools_id")
	id, _ := r.look(n, "aws_cognito_identity_pool_id")
	r.pools(a, user, id)
	if m, ok := r.look(n, "aws_mandatory_sign_in"); ok && m.value.text == "enable" {
		a.Guests = false
		m.value.read = done
	}
	a.OAuth = r.oauth(n)
	r.gen1(n, exportNames, a)
	return a
}

// oauth reads the oauth of aws-exports.js, nil if there is none.
func (r *reader) oauth(n node) *OAuth {
	h, ok := r.frame(n, "oauth")
	if !ok || len(h.value.fields) == 0 {
		return nil
	}
	return &OAuth{
		Domain:   r.optional(h, "domain"),
		Scopes:   r.texts(h, "scope"),
		SignIn:   r.commas(h, "redirectSignIn"),
		SignOut:  r.commas(h, "redirectSignOut"),
		Response: r.choice(h, "responseType", responseWords...),
	}
}

// lower and upper change the letters of ASCII, and so are the opposite of each other.
func lower(texts []string) []string { return shift(texts, 'A', 'a') }
func upper(texts []string) []string { return shift(texts, 'a', 'A') }

func shift(texts []string, from, to rune) []string {
	texts = slices.Clone(texts)
	for i := range texts {
		texts[i] = strings.Map(func(r rune) rune {
			if r >= from && r < from+26 {
				r += to - from
			}
			return r
		}, texts[i])
	}
	return texts
}

// same reads a field that says what is known, if it does.
func (r *reader) same(n node, name, known string) {
	if f, ok := r.look(n, name); ok && f.value.kind == text && f.value.text == known {
		f.value.read = done
	}
}

// commas reads a text of several URLs.
func (r *reader) commas(n node, name string) []string {
	s := r.optional(n, name)
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// gen1 reads what both formats of the first generation have in common.
func (r *reader) gen1(n node, names gen1, a *Auth) {
	a.UsernameAttributes = lower(r.texts(n, names.username, "EMAIL", "PHONE_NUMBER", "USERNAME"))
	if a.UsernameAttributes != nil && len(a.UsernameAttributes) == 0 {
		a.UsernameAttributes = []string{"username"} // what an empty list means
	}
	a.RequiredAttributes = lower(r.texts(n, names.signup))
	a.VerificationTypes = lower(r.texts(n, names.verification, "EMAIL", "PHONE_NUMBER"))
	a.MFAMethods = r.texts(n, names.methods, methodWords...)
	if s := r.optional(n, names.mfa); s != "" {
		word, ok := ours(exportMFA, s)
		if !ok {
			f, _ := r.look(n, names.mfa)
			r.fail(f, "is %q, want ON, OFF or OPTIONAL", s)
		}
		a.MFA = word
	}
	if a.OAuth != nil {
		for _, s := range r.texts(n, names.social, "GOOGLE", "FACEBOOK", "AMAZON", "APPLE") {
			if word, ok := ours(exportProviders, s); ok {
				s = word
			}
			a.OAuth.Providers = append(a.OAuth.Providers, s)
		}
	}
	p, ok := r.sub(n, names.password)
	if !ok {
		return
	}
	a.Password = &PasswordPolicy{MinLength: r.whole(p, "passwordPolicyMinLength")}
	for _, s := range r.texts(p, "passwordPolicyCharacters", "REQUIRES_NUMBERS", "REQUIRES_LOWERCASE", "REQUIRES_UPPERCASE", "REQUIRES_SYMBOLS") {
		switch s {
		case "REQUIRES_NUMBERS":
			a.Password.RequireNumbers = true
		case "REQUIRES_LOWERCASE":
			a.Password.RequireLowercase = true
		case "REQUIRES_UPPERCASE":
			a.Password.RequireUppercase = true
		case "REQUIRES_SYMBOLS":
			a.Password.RequireSymbols = true
		}
	}
}

// exports writes aws-exports.js and the amplifyconfiguration.json of JavaScript.
func (w *writer) exports() *value {
	root := newObject()
	project := newText(w.o.region())
	project.weak = true
	root.set("aws_project_region", project)
	if a := w.o.Auth; a != nil {
		w.exportsAuth(root, a)
	}
	if s := w.o.Storage; s != nil {
		root.setText("aws_user_files_s3_bucket", s.Bucket)
		root.setText("aws_user_files_s3_bucket_region", s.Region)
		root.setTrue(exportFlag, w.o.local())
		w.oneBucket(s)
		if s.Level != "" {
			w.lost("storage.default_access_level")
		}
	}
	cubby := w.cubby()
	if w.o.local() && w.o.Storage != nil { // which the flag says
		cubby.fields = slices.DeleteFunc(cubby.fields, func(f field) bool { return f.name == "s3_endpoint" || f.name == "path_style" })
	}
	custom := newObject()
	custom.setObject("cubby", cubby)
	root.setObject("custom", custom)
	w.schema()
	return root
}

func (w *writer) exportsAuth(root *value, a *Auth) {
	root.setText("aws_cognito_identity_pool_id", a.IdentityPoolID)
	root.setText("aws_cognito_region", a.Region)
	root.setText("aws_user_pools_id", a.UserPoolID)
	root.setText("aws_user_pools_web_client_id", a.UserPoolClientID)
	if a.IdentityPoolID == "" && a.UserPoolID == "" {
		w.warn("auth", "without a pool, aws-amplify ignores what %s says about users", w.format)
	}
	if !a.Guests {
		root.set("aws_mandatory_sign_in", newText("enable"))
	}
	root.setText("aws_cognito_sign_up_verification_method", a.SignUpVerification)
	root.set("oauth", w.oauth(a.OAuth))
	w.gen1(root, exportNames, a)
}

// oauth writes the oauth of aws-exports.js, nil for none.
func (w *writer) oauth(h *OAuth) *value {
	if h == nil {
		return nil
	}
	x := newObject()
	x.set("domain", newText(h.Domain))
	x.setList("scope", h.Scopes)
	x.setText("redirectSignIn", w.commas("auth.oauth.redirect_sign_in_uri", h.SignIn))
	x.setText("redirectSignOut", w.commas("auth.oauth.redirect_sign_out_uri", h.SignOut))
	x.set("responseType", newText(response(h)))
	return x
}

// commas writes several URLs as one text.
func (w *writer) commas(path string, urls []string) string {
	for i, s := range urls {
		if strings.Contains(s, ",") {
			w.warn(fmt.Sprintf("%s[%d]", path, i), "has a comma, which %s takes for the end of a URL", w.format)
		}
	}
	return strings.Join(urls, ",")
}

// gen1 writes what both formats of the first generation have in common.
func (w *writer) gen1(v *value, names gen1, a *Auth) {
	if slices.Equal(a.UsernameAttributes, []string{"username"}) {
		v.set(names.username, newList(nil))
	} else {
		v.setList(names.username, upper(a.UsernameAttributes))
		if i := slices.Index(a.UsernameAttributes, "username"); i >= 0 {
			w.warn(fmt.Sprintf("auth.username_attributes[%d]", i), "in %s, a user name excludes other ways to sign in, and clients ignore it", w.format)
		}
	}
	if h := a.OAuth; h != nil {
		providers := []string{}
		for _, s := range h.Providers {
			if word, ok := theirs(exportProviders, s); ok {
				s = word
			}
			providers = append(providers, s)
		}
		w.others("auth.oauth.identity_providers", h.Providers, providerWords...)
		v.set(names.social, newList(providers))
		if len(h.Custom) > 0 {
			w.lost("auth.oauth.custom_providers")
		}
	}
	v.setList(names.signup, upper(a.RequiredAttributes))
	if a.MFA != "" {
		if word, ok := theirs(exportMFA, a.MFA); ok {
			v.set(names.mfa, newText(word))
		} else {
			w.warn("auth.mfa_configuration", "%s has no word for %s", w.format, a.MFA)
		}
	}
	v.setList(names.methods, a.MFAMethods)
	if p := a.Password; p != nil {
		x := newObject()
		if p.MinLength != 0 {
			x.set("passwordPolicyMinLength", newNumber(p.MinLength))
		}
		needs := []string{}
		for _, n := range []struct {
			word string
			yes  bool
		}{
			{"REQUIRES_LOWERCASE", p.RequireLowercase},
			{"REQUIRES_UPPERCASE", p.RequireUppercase},
			{"REQUIRES_NUMBERS", p.RequireNumbers},
			{"REQUIRES_SYMBOLS", p.RequireSymbols},
		} {
			if n.yes {
				needs = append(needs, n.word)
			}
		}
		x.set("passwordPolicyCharacters", newList(needs))
		v.set(names.password, x)
	}
	v.setList(names.verification, upper(a.VerificationTypes))
	if len(a.Groups) > 0 {
		w.lost("auth.groups")
	}
	if a.Passwordless != nil {
		w.lost("auth.passwordless")
	}
}

// oneBucket warns of the buckets for which a format with one has no place.
func (w *writer) oneBucket(s *Storage) {
	for i, b := range s.Buckets {
		path := fmt.Sprintf("storage.buckets[%d]", i)
		if b.BucketName != s.Bucket || b.Region != s.Region {
			w.lost(path)
			continue
		}
		if b.Name != b.BucketName {
			w.lost(path + ".name")
		}
		if len(b.Paths) > 0 {
			w.lost(path + ".paths")
		}
	}
}
