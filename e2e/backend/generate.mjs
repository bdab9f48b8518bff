// Runs the generator of @aws-amplify/backend-storage, unmodified, on definitions
// of access. Each line of the input is {name, access}, with the access as in
// access/testdata/access-rules.json; each line of the output is {name, access,
// paths, policies}, or {name, access, error: {name}}.
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { App, Stack } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';

// The package exports defineStorage alone, which wants a whole backend around it.
const lib = (name) => import(new URL(`node_modules/@aws-amplify/backend-storage/lib/${name}.js`, import.meta.url));
const { StorageAccessOrchestrator } = await lib('storage_access_orchestrator');
const { StorageAccessPolicyFactory } = await lib('storage_access_policy_factory');

// One stack for all: what it holds does not show in a document.
const stack = new Stack(new App(), 'stack');
const bucket = Bucket.fromBucketArn(stack, 'bucket', 'arn:aws:s3:::BUCKET');

// generate returns what the generator makes of one definition. A function is
// named by the value of its rule, and every group exists.
export const generate = (access) => {
	const policies = new Map();
	// The identifiers are those of @aws-amplify/backend-auth and backend-function.
	const acceptor = (role, identifier) => ({
		identifier: `${identifier}ResourceAccessAcceptor`,
		acceptResourceAccess: (policy) => {
			policies.set(role, stack.resolve(policy.document.toJSON()));
		},
	});
	const auth = { getInstance: () => ({ getResourceAccessAcceptor: (role) => acceptor(role, role) }) };
	const define = (allow) =>
		Object.fromEntries(
			Object.entries(access).map(([path, rules]) => [
				path,
				rules.map((rule) => {
					if ('groups' in rule) return allow.groups(rule.groups).to(rule.to);
					if ('resource' in rule) {
						const name = String(rule.resource);
						const getResourceAccessAcceptor = () => acceptor(name, `${name}Lambda`);
						return allow.resource({ getInstance: () => ({ getResourceAccessAcceptor }) }).to(rule.to);
					}
					const [[who, actions]] = Object.entries(rule);
					if (who === 'entity:identity') return allow.entity('identity').to(actions);
					return allow[who].to(actions);
				}),
			]),
		);
	try {
		const props = { constructContainer: { getConstructFactory: () => auth } };
		const paths = new StorageAccessOrchestrator(define, props, [], new StorageAccessPolicyFactory(bucket)).orchestrateStorageAccess();
		return { paths, policies: Object.fromEntries(policies) };
	} catch (error) {
		// Anything else is a mistake of ours, or of the generator.
		if (!error.name?.startsWith('InvalidStorageAccess') && error.name !== 'EmptyPolicyFault') throw error;
		return { error: { name: error.name } };
	}
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	for await (const line of createInterface({ input: process.stdin })) {
		if (line) {
			const { name, access } = JSON.parse(line);
			console.log(JSON.stringify({ name, access, ...generate(access) }));
		}
	}
}
