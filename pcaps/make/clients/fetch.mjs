// Fetches one URL with Node's built-in fetch. usage: node fetch.mjs URL
const answer = await fetch(process.argv[2]);
console.log(answer.status, (await answer.text()).length);
process.exit(0);
