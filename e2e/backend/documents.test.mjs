// What Cubby writes for an app, judged by those who read it: the types that npm
// @aws-amplify/client-config has for each version, its converters to the formats
// of Gen 1, and the types and the parser of aws-amplify.
//
// $CUBBY_DOCUMENTS is a directory with one directory for each app, and in that the
// app's configuration in every format, and what Cubby warned of besides, one
// line for each warning.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const here = fileURLToPath(new URL('.', import.meta.url));
const v6 = join(here, '../amplify/v6/');
const { parseAmplifyConfig } = createRequire(v6)('aws-amplify/utils');
const lib = join(here, 'node_modules/@aws-amplify/client-config/lib/');
const { ClientConfigLegacyConverter } = await import(join(lib, 'client-config-writer/client_config_to_legacy_converter.js'));
const { ClientConfigMobileConverter } = await import(join(lib, 'client-config-writer/client_config_to_mobile_legacy_converter.js'));

const versions = ['1', '1.1', '1.2', '1.3', '1.4', '1.5'];
const formats = [...versions.map((v) => `amplify_outputs-${v}.json`), 'resources-config.json', 'aws-exports.mjs', 'amplifyconfiguration.json', 'amplifyconfiguration-mobile.json'];

const directory = process.env.CUBBY_DOCUMENTS;
const read = async (file) => {
	if (file.endsWith('.json')) return JSON.parse(readFileSync(file));
	return (await import(pathToFileURL(file))).default;
};
const apps = {};
for (const name of readdirSync(directory)) {
	apps[name] = { warnings: {} };
	for (const format of formats) {
		apps[name][format] = await read(join(directory, name, format));
		const file = join(directory, name, `${format}.warnings`);
		apps[name].warnings[format] = readFileSync(file, 'utf8').split('\n').filter(Boolean);
	}
}

// plain is a value as it is in JSON, where what is undefined is not there.
const plain = (value) => JSON.parse(JSON.stringify(value));

// said is a value without what says as little as if it were not there.
const said = (value) => {
	if (Array.isArray(value)) return value.map(said);
	if (value === null || typeof value !== 'object') return value;
	const fields = Object.entries(value).map(([k, v]) => [k, said(v)]);
	return Object.fromEntries(fields.filter(([, v]) => v != null && v !== false && (typeof v !== 'object' || Object.keys(v).length > 0)));
};

// complaints returns what the compiler says of documents, each of them given as
// {type, value}: the value is written out, so that it also sees what is too much.
const complaints = (documents) => {
	const types = `import type { ClientConfigVersionTemplateType, ClientConfigLegacy } from '${lib}client-config-types/client_config.js';
import type { ResourcesConfig } from '${v6}node_modules/aws-amplify';
`;
	const sources = new Map(documents.map(({ type, value }, i) => [join(here, `${i}.ts`), `${types}export const document: ${type} = ${JSON.stringify(value, null, 1)};\n`]));
	const options = {
		strict: true, noEmit: true, skipLibCheck: true, types: [], target: ts.ScriptTarget.ES2022,
		module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
	};
	const host = ts.createCompilerHost(options);
	const { fileExists, readFile, getSourceFile } = host;
	host.fileExists = (name) => sources.has(name) || fileExists(name);
	host.readFile = (name) => sources.get(name) ?? readFile(name);
	host.getSourceFile = (name, target, ...rest) =>
		sources.has(name) ? ts.createSourceFile(name, sources.get(name), target) : getSourceFile(name, target, ...rest);
	const program = ts.createProgram([...sources.keys()], options, host);
	return [...sources.keys()].map((name) =>
		ts.getPreEmitDiagnostics(program, program.getSourceFile(name)).map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n')),
	);
};

// typeOf returns the type of a format, if it has one: files for mobile libraries
// have more than the type there is of them, which is of what Gen 2 writes.
const typeOf = (format) => {
	const [, version] = format.match(/^amplify_outputs-(.*)\.json$/) ?? [];
	if (version) return `ClientConfigVersionTemplateType<'${version}'>`;
	return { 'resources-config.json': 'ResourcesConfig', 'amplifyconfiguration.json': 'ClientConfigLegacy' }[format];
};

test('the compiler accepts every document as what it says it is', () => {
	const documents = Object.entries(apps).flatMap(([name, app]) =>
		formats.filter(typeOf).map((format) => ({ name: `${name}/${format}`, type: typeOf(format), value: app[format] })),
	);
	const found = complaints(documents);
	assert.deepEqual(Object.fromEntries(documents.map(({ name }, i) => [name, found[i]]).filter(([, list]) => list.length)), {});
});

test('the compiler refuses what is wrong', () => {
	const storage = { aws_region: 'r', bucket_name: 'b' };
	const found = complaints([
		{ type: typeOf('amplify_outputs-1.3.json'), value: { version: '1.4', storage } },
		{ type: typeOf('amplify_outputs-1.json'), value: { version: '1', storage: { ...storage, buckets: [] } } },
		{ type: typeOf('amplify_outputs-1.5.json'), value: { version: '1.5', storage: { bucket_name: 'b' } } },
		{ type: typeOf('amplify_outputs-1.5.json'), value: { version: '1.5', more: {} } },
		{ type: typeOf('resources-config.json'), value: { Storage: { S3: { bucket: 1 } } } },
		{ type: typeOf('amplifyconfiguration.json'), value: { aws_cognito_mfa_types: 'SMS' } },
	]);
	for (const [i, list] of found.entries()) assert.notDeepEqual(list, [], `document ${i} was accepted`);
});

for (const [name, app] of Object.entries(apps)) {
	const newest = app['amplify_outputs-1.5.json'];
	const legacy = plain(new ClientConfigLegacyConverter().convertToLegacyConfig(newest));
	// What Amplify leaves out, and clients then take for the opposite.
	if (newest.auth?.unauthenticated_identities_enabled === false) legacy.aws_mandatory_sign_in = 'enable';
	// Files of Gen 1 itself name no attribute where users have names.
	const names = legacy.aws_cognito_username_attributes;
	if (names) legacy.aws_cognito_username_attributes = names.filter((n) => n !== 'USERNAME');
	const mobile = plain(new ClientConfigMobileConverter('cubby', '1').convertToMobileConfig(legacy));

	test(`${name}: the client reads one version like another, but for what Cubby warned of`, () => {
		const want = said(parseAmplifyConfig(newest));
		for (const version of versions) {
			const format = `amplify_outputs-${version}.json`;
			assert.equal(app[format].version, version);
			const got = said(parseAmplifyConfig(app[format]));
			const more = app.warnings[format].filter((w) => !app.warnings['amplify_outputs-1.5.json'].includes(w));
			if (more.length) assert.notDeepEqual(got, want, `${format}: ${more}`);
			else assert.deepEqual(got, want, format);
		}
	});

	test(`${name}: ResourcesConfig is what the client makes of amplify_outputs.json`, () => {
		const want = said(parseAmplifyConfig(newest));
		// The parser has no words for endpoints.
		const { identity_pool_endpoint, user_pool_endpoint } = newest.custom?.cubby ?? {};
		if (want.Auth) Object.assign(want.Auth.Cognito, { identityPoolEndpoint: identity_pool_endpoint, userPoolEndpoint: user_pool_endpoint });
		assert.deepEqual(said(app['resources-config.json']), said(want));
	});

	test(`${name}: aws-exports.js means to the client what Amplify's own would`, () => {
		assert.deepEqual(said(parseAmplifyConfig(app['aws-exports.mjs'])), said(parseAmplifyConfig(legacy)));
	});

	test(`${name}: both forms of aws-exports say the same`, () => {
		assert.deepEqual(app['amplifyconfiguration.json'], app['aws-exports.mjs']);
	});

	test(`${name}: amplifyconfiguration.json of mobile apps says what Amplify's own would`, () => {
		const [got, want] = [app['amplifyconfiguration-mobile.json'], mobile].map((config) => {
			const { awsS3StoragePlugin: s3 } = config.storage?.plugins ?? {};
			const { CognitoUserPool, CredentialsProvider, Auth } = config.auth?.plugins.awsCognitoAuthPlugin ?? {};
			Auth?.Default.passwordProtectionSettings?.passwordPolicyCharacters?.sort();
			return said({
				s3: { bucket: s3?.bucket, region: s3?.region },
				CognitoUserPool,
				CredentialsProvider: CredentialsProvider?.CognitoIdentity.Default.PoolId && CredentialsProvider,
				Auth,
			});
		});
		assert.deepEqual(got, want);
	});
}
