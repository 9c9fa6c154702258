// A certified OpenID Provider (npm: oidc-provider) on loopback, for test_oidc_provider.py.
// Arguments: its port, our callback, and by subject what it knows of its users, as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const found = createRequire(process.env.OIDC_PROVIDER_FROM + "/").resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(found));
const [port, callback, users, more] = process.argv.slice(2);
const known = JSON.parse(users);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [{ client_id: "bl_steer", client_secret: "s+/ e%cret", redirect_uris: [callback] }],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => id in known && { accountId: id, claims: () => ({ sub: id, ...known[id] }) },
  cookies: { keys: ["k"] },
  ...JSON.parse(more ?? "{}"),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
