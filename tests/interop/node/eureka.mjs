// `eureka-js-client`, unmodified: register, heartbeat, discover, follow a change by differences, deregister, die without a
// word.
// eureka.mjs SERVER

import assert from "node:assert/strict";

import eureka from "eureka-js-client";

const [server] = process.argv.slice(2);
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };

function client(app, number) {
  return new eureka.Eureka({
    logger: quiet,
    shouldUseDelta: true,
    instance: {
      app,
      instanceId: `${app}-${number}`,
      hostName: "127.0.0.1",
      ipAddr: "127.0.0.1",
      port: { $: 8000 + number, "@enabled": true },
      vipAddress: app,
      leaseInfo: { renewalIntervalInSecs: 1, durationInSecs: 1 },
      dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
    },
    eureka: {
      serviceUrls: { default: [`${server}apps/`] },
      heartbeatInterval: 200,
      registryFetchInterval: 100,
      maxRetries: 0,
    },
  });
}

const start = (one) => new Promise((resolve, reject) => one.start((error) => (error ? reject(error) : resolve())));
const stop = (one) => new Promise((resolve, reject) => one.stop((error) => (error ? reject(error) : resolve())));
const until = async (condition, what) => {
  const end = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

const [web, shop] = [client("web", 1), client("shop", 2)];
let beats = 0;
web.on("heartbeat", () => (beats += 1));
await start(web);
await until(() => web.getInstancesByAppId("web").length === 1, "it finds itself");
assert.equal(web.getInstancesByVipAddress("web")[0].port.$, 8001);
await start(shop);
await until(() => web.getInstancesByAppId("shop").length === 1, "differences tell of another");
assert.equal(web.getInstancesByVipAddress("shop")[0].hostName, "127.0.0.1");
await until(() => beats > 1, "heartbeats are taken");
await stop(shop);
await until(() => web.getInstancesByAppId("shop").length === 0, "differences tell of its end");

// Dies without a word: nothing is said, and nobody takes its leave.
await start(shop);
await until(() => web.getInstancesByAppId("shop").length === 1, "it is there again");
clearInterval(shop.heartbeat);
clearInterval(shop.registryFetch);
await until(() => web.getInstancesByAppId("shop").length === 0, "its lease ends");
assert.equal(web.getInstancesByAppId("web").length, 1, "who goes on beating stays");
await stop(web);
console.log("done");
process.exit(0);
