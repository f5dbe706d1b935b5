// The `consul` client of npm, unmodified: register, heartbeat, discover, watch a change, deregister, die without a word.
// consul.mjs PORT TOKEN

import assert from "node:assert/strict";

import Consul from "consul";

const [port, token] = process.argv.slice(2);
const consul = new Consul({ host: "127.0.0.1", port: Number(port), defaults: { token } });

await consul.agent.service.register({
  name: "web",
  id: "web-1",
  address: "127.0.0.1",
  port: 8000,
  tags: ["v1"],
  check: { ttl: "1s" },
});
assert.deepEqual(await consul.health.service({ service: "web", passing: true }), []);
await consul.agent.check.pass({ id: "service:web-1", note: "well" });
const [found] = await consul.health.service({ service: "web", passing: true });
assert.equal(found.Service.Port, 8000);
assert.deepEqual(await consul.catalog.service.list(), { consul: [], web: ["v1"] });
assert.equal((await consul.agent.services())["web-1"].Service, "web");
assert.match(await consul.status.leader(), /:8300$/);

// Dies without a word: the watch hears of it when the term ends, and of the next life.
const seen = [];
const watch = consul.watch({ method: consul.health.service, options: { service: "web", passing: true, wait: "10s" } });
const until = (condition) =>
  new Promise((resolve, reject) => {
    const patience = setTimeout(() => reject(new Error(`waited in vain; seen: ${JSON.stringify(seen)}`)), 10_000);
    const look = (data) => {
      seen.push(data.map((one) => one.Service.ID));
      if (condition(seen.at(-1))) {
        clearTimeout(patience);
        watch.off("change", look);
        resolve();
      }
    };
    watch.on("change", look);
  });
watch.on("error", (error) => {
  throw error;
});
await until((ids) => ids.length === 0);
const alive = until((ids) => ids[0] === "web-1");
await consul.agent.check.pass("service:web-1");
await alive;
const gone = until((ids) => ids.length === 0);
await consul.agent.service.deregister("web-1");
await gone;
watch.end();

await assert.rejects(
  consul.agent.service.register({ name: "web", check: { http: "http://example.com", interval: "1s" } }),
  /bad request/,
);
await assert.rejects(consul.kv.get("anything"), (error) => error.response.statusCode === 501);
console.log("done");
process.exit(0);
