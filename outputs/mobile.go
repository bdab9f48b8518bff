package outputs

var mobileNames = gen1{
	"usernameAttributes", "socialProviders", "signupAttributes", "mfaConfiguration",
	"mfaTypes", "passwordProtectionSettings", "verificationMechanisms",
}

// way returns the object that the names lead to. It is false if there is none.
func (r *reader) way(n node, names ...string) (node, bool) {
	for _, name := range names {
		var ok bool
		if n, ok = r.frame(n, name); !ok {
			return n, false
		}
	}
	return n, true
}

// mobile reads the amplifyconfiguration.json of the mobile libraries.
func (r *reader) mobile(n node) *Outputs {
	r.object(n)
	o := new(Outputs)
	if p, ok := r.way(n, "auth", "plugins", "awsCognitoAuthPlugin"); ok {
		o.Auth = r.mobileAuth(p)
	}
	if p, ok := r.way(n, "storage", "plugins", "awsS3StoragePlugin"); ok {
		o.Storage = &Storage{
			Bucket: r.required(p, "bucket"), Region: r.required(p, "region"),
			Level: r.choice(p, "defaultAccessLevel", "guest", "protected", "private"),
		}
	}
	return o
}

// awsConfiguration reads awsconfiguration.json, which has the pools in the same words.
func (r *reader) awsConfiguration(n node) *Outputs {
	r.object(n)
	o := &Outputs{Auth: r.mobileAuth(n)}
	if s, ok := r.way(n, "S3TransferUtility", "Default"); ok {
		o.Storage = &Storage{Bucket: r.required(s, "Bucket"), Region: r.required(s, "Region")}
	}
	return o
}

func (r *reader) mobileAuth(n node) *Auth {
	user, hasUser := r.way(n, "CognitoUserPool", "Default")
	id, hasID := r.way(n, "CredentialsProvider", "CognitoIdentity", "Default")
	if !hasUser && !hasID {
		return nil
	}
	a := &Auth{Guests: true}
	userPool, idPool := user, id
	if hasUser {
		a.UserPoolID = r.required(user, "PoolId")
		a.UserPoolClientID = r.optional(user, "AppClientId")
		a.Region = r.optional(user, "Region")
		userPool, _ = r.look(user, "PoolId")
	}
	if hasID {
		a.IdentityPoolID = r.required(id, "PoolId")
		if a.Region == "" {
			a.Region = r.optional(id, "Region")
		}
		r.same(id, "Region", a.Region)
		idPool, _ = r.look(id, "PoolId")
	}
	r.pools(a, userPool, idPool)
	d, ok := r.way(n, "Auth", "Default")
	if !ok {
		return a
	}
	if h, ok := r.sub(d, "OAuth"); ok && len(h.value.fields) > 0 {
		a.OAuth = &OAuth{
			Domain:   r.optional(h, "WebDomain"),
			Scopes:   r.texts(h, "Scopes"),
			SignIn:   r.commas(h, "SignInRedirectURI"),
			SignOut:  r.commas(h, "SignOutRedirectURI"),
			Response: "code", // the only one that the libraries know
		}
		r.same(h, "AppClientId", a.UserPoolClientID)
	}
	r.gen1(d, mobileNames, a)
	return a
}

// mobile writes the amplifyconfiguration.json of the mobile libraries.
func (w *writer) mobile() *value {
	root := newObject()
	w.usual(root, "UserAgent", newText("cubby/1.0"))
	w.usual(root, "Version", newText("1.0"))
	plugin := func(category, name string, x *value) {
		plugins, c := newObject(), newObject()
		plugins.set(name, x)
		c.set("plugins", plugins)
		root.set(category, c)
	}
	if a := w.o.Auth; a != nil {
		x := newObject()
		w.usual(x, "UserAgent", newText("cubby/1.0"))
		w.usual(x, "Version", newText("1.0"))
		w.mobileAuth(x, a)
		plugin("auth", "awsCognitoAuthPlugin", x)
	}
	if s := w.o.Storage; s != nil {
		x := newObject()
		x.set("bucket", newText(s.Bucket))
		x.set("region", newText(s.Region))
		x.setText("defaultAccessLevel", s.Level)
		plugin("storage", "awsS3StoragePlugin", x)
		w.oneBucket(s)
	}
	w.noCubby()
	w.schema()
	return root
}

// awsConfiguration writes awsconfiguration.json.
func (w *writer) awsConfiguration() *value {
	root := newObject()
	w.usual(root, "UserAgent", newText("cubby/1.0"))
	w.usual(root, "Version", newText("1.0"))
	if a := w.o.Auth; a != nil {
		w.mobileAuth(root, a)
	}
	if s := w.o.Storage; s != nil {
		x, d := newObject(), newObject()
		d.set("Bucket", newText(s.Bucket))
		d.set("Region", newText(s.Region))
		x.set("Default", d)
		root.set("S3TransferUtility", x)
		w.oneBucket(s)
		if s.Level != "" {
			w.lost("storage.default_access_level")
		}
	}
	w.noCubby()
	w.schema()
	return root
}

// usual sets what is in every file of a mobile app. One that was read keeps its own.
func (w *writer) usual(v *value, name string, x *value) {
	if w.o.Format != w.format {
		v.set(name, x)
	}
}

// noCubby warns of the endpoints.
func (w *writer) noCubby() {
	if w.o.Custom != nil && w.o.Custom.Cubby != nil && *w.o.Custom.Cubby != (Cubby{}) {
		w.lost("custom.cubby")
	}
}

// mobileAuth writes the pools, and what is said about users.
func (w *writer) mobileAuth(x *value, a *Auth) {
	identity := newObject()
	identity.set("Default", newObject())
	w.usual(x, "IdentityManager", identity)
	pool := func(id, client string, region *value) *value {
		v, d := newObject(), newObject()
		v.set("PoolId", newText(id))
		v.setText("AppClientId", client)
		v.fields = append(v.fields, field{name: "Region", value: region})
		d.set("Default", v)
		return d
	}
	if a.UserPoolID != "" {
		x.set("CognitoUserPool", pool(a.UserPoolID, a.UserPoolClientID, newText(a.Region)))
	}
	if a.IdentityPoolID != "" {
		region := newText(a.Region)
		region.weak = a.UserPoolID != "" // it may be in another one
		provider := newObject()
		provider.set("CognitoIdentity", pool(a.IdentityPoolID, "", region))
		x.set("CredentialsProvider", provider)
	}
	if a.UserPoolID == "" && a.IdentityPoolID == "" {
		w.lost("auth")
	}
	d := newObject()
	w.usual(d, "authenticationFlowType", newText("USER_SRP_AUTH"))
	if h := a.OAuth; h != nil {
		y := newObject()
		y.set("WebDomain", newText(h.Domain))
		client := newText(a.UserPoolClientID)
		client.weak = true
		y.set("AppClientId", client)
		y.setText("SignInRedirectURI", w.commas("auth.oauth.redirect_sign_in_uri", h.SignIn))
		y.setText("SignOutRedirectURI", w.commas("auth.oauth.redirect_sign_out_uri", h.SignOut))
		y.setList("Scopes", h.Scopes)
		d.set("OAuth", y)
		if response(h) != "code" {
			w.lost("auth.oauth.response_type")
		}
	}
	w.gen1(d, mobileNames, a)
	auth := newObject()
	auth.setObject("Default", d)
	x.setObject("Auth", auth)
	if !a.Guests {
		w.warn("auth.unauthenticated_identities_enabled", "%s cannot refuse guests, only the identity pool can", w.format)
	}
	if a.SignUpVerification != "" {
		w.lost("auth.sign_up_verification_method")
	}
}
