// Fetches one URL with node:https as it comes. usage: node https.mjs URL
import https from "node:https";

https.get(process.argv[2], (answer) => {
  answer.resume();
  answer.on("end", () => {
    console.log(answer.httpVersion, answer.statusCode);
    process.exit(0);
  });
});
