// Walks through the dashboard of a server on which a push has become a canary:
//
//   BASE_URL=http://127.0.0.1:8080 LOGIN_LINK=http://127.0.0.1:8080/login/once?token=... \
//     node e2e/push.mjs FOLDER
//
// It opens Home, the Run, the Application and the Rollout, checks what they
// say, runs axe-core over each, takes screenshots in light, dark and at a
// phone's width into FOLDER, and exits 1 with a list when something is wrong.
import { readFileSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { launch, looks, watch } from './browser.mjs'

const base = (process.env.BASE_URL ?? new URL(process.env.LOGIN_LINK).origin).replace(/\/$/, '')
const folder = process.argv[2] ?? join(import.meta.dirname, '../../tests/output/dashboard')
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const wrong = []
mkdirSync(folder, { recursive: true })

const browser = await launch()
try {
  const state = await logIn()
  const api = await reader(state)
  const pages = await addresses(api)
  for (const look of looks) await walk(look, state, pages)
  await byKeyboard(state)
  await hiddenTabs(state, pages)
  await manyRuns(state, api)
  await olderRun(state, api)
  await byHand(state, api)
} catch (error) {
  wrong.push(String(error))
} finally {
  await browser.close()
}
if (wrong.length > 0) {
  console.error(wrong.map((line) => `- ${line}`).join('\n'))
  process.exit(1)
}
console.log(`the dashboard is as it should be; screenshots are in ${folder}`)

/** Opens the one-time link, and keeps the session for every look. */
async function logIn() {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${base}/`)
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  await page.screenshot({ path: join(folder, 'login.png') })
  await page.goto(process.env.LOGIN_LINK)
  await page.getByRole('link', { name: 'Home' }).waitFor()
  const state = await context.storageState()
  await context.close()
  return state
}

async function reader(storageState) {
  const { request } = await browser.newContext({ storageState })
  return async (path) => {
    const answer = await request.get(`${base}/api/v1${path}`)
    if (!answer.ok()) throw new Error(`${path} answered ${answer.status()}: ${await answer.text()}`)
    return answer.json()
  }
}

/** The pages to open, with words that each must show, from what the API says. */
async function addresses(api) {
  const home = await api('/home')
  const [newest] = [...home.open, ...home.ended]
  const [app] = await api('/apps')
  const [rollout] = await api('/rollouts')
  if (newest === undefined) wrong.push('no run is shown')
  if (app === undefined) wrong.push('no application is shown')
  if (rollout === undefined) wrong.push('no rollout is shown')
  const pages = [
    { name: 'start', path: '/start', words: ['Start a run', 'Start the run|Nothing starts by hand'] },
    { name: 'home', path: '/', words: ['Nothing needs a person|needs? a person', 'On its way', 'Ended lately'] },
  ]
  if (newest !== undefined) {
    const begun = newest.steps.filter(({ id, started_ms }) => id !== 'delivery' && started_ms !== null)
    const step = (begun.at(-1) ?? newest.steps.at(-1)).id
    const path = `/runs/${newest.run.id}`
    pages.push({ name: 'run', path, words: [newest.run.title, 'What needs what', 'What took how long'] })
    pages.push({ name: 'run-step', path: `${path}?step=${step}`, words: ['In and out', 'Grants', 'Attempts'] })
    pages.push({ name: 'run-journal', path: `${path}?view=journal`, words: ['opened'] })
    pages.push({ name: 'runs', path: '/runs', words: [newest.run.title] })
    pages.push({ name: 'deliveries', path: '/deliveries', words: ['Deliveries', 'user/petclinic', 'opened'] })
  }
  if (app !== undefined) {
    const path = `/apps/${app.stream.slice('app/'.length)}`
    const { app: whole } = await api(path)
    const differing = whole.resources.find(
      (resource) => resource.desired !== '' && resource.live !== '' && resource.sync !== 'synced',
    )
    const one = differing ?? whole.resources.find((resource) => resource.desired !== '')
    pages.push({ name: 'app', path, words: [app.name, 'Who owns which field'] })
    if (one !== undefined) {
      const resource = encodeURIComponent(`${one.kind}/${one.namespace}/${one.name}`)
      pages.push({
        name: 'app-resource',
        path: `${path}?resource=${resource}`,
        words: [`${one.kind}/${one.name}`, 'differs?|Git does not|missing'],
      })
    }
    pages.push({ name: 'apps', path: '/apps', words: [app.name] })
  }
  if (rollout !== undefined) {
    const path = `/rollouts/${rollout.stream.slice('rollout/'.length)}`
    pages.push({
      name: 'rollout',
      path,
      words: [rollout.name, 'What you may do now', 'Progress', 'Pods by revision'],
    })
    pages.push({ name: 'rollouts', path: '/rollouts', words: [rollout.name] })
  }
  const { plugins } = await api('/plugins')
  const used = plugins.find((plugin) => plugin.used.length > 0)
  if (used === undefined) wrong.push('no plugin is shown as used')
  else pages.push({ name: 'plugins', path: '/plugins', words: ['From registries', 'Built in', used.uses, 'of the policy', 'Settings and outputs'] })
  return pages
}

async function walk(look, storageState, pages) {
  const context = await browser.newContext({ ...look, storageState, reducedMotion: 'reduce' })
  const page = await context.newPage()
  const complaints = watch(page, base)
  for (const { name, path, words } of pages) {
    const where = `${name} (${look.name})`
    await page.goto(base + path)
    for (const word of words) {
      const found = page.getByText(new RegExp(word.includes('|') || word.endsWith('?') ? word : escape(word))).first()
      await found.waitFor({ timeout: 10_000 }).catch(() => wrong.push(`${where} does not say: ${word}`))
    }
    // The graph and the chart come with code of their own.
    if (name === 'run')
      await page
        .locator('.node')
        .first()
        .waitFor({ timeout: 10_000 })
        .catch(() => wrong.push(`${where} has no graph`))
    if (name === 'run-step')
      await page
        .locator('.log, .drawer .empty')
        .first()
        .waitFor({ timeout: 10_000 })
        .catch(() => wrong.push(`${where} has no log`))
    if (name === 'rollout')
      await page
        .locator('.chart canvas')
        .first()
        .waitFor({ timeout: 10_000 })
        .catch(() => wrong.push(`${where} has no chart`))
    await page.evaluate(() => document.fonts.ready)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    if (wide > 0) wrong.push(`${where} is ${wide} px wider than the window`)
    for (const finding of await page.evaluate(cut)) wrong.push(`${where}: ${finding}`)
    await page.screenshot({ path: join(folder, `${name}-${look.name}.png`), fullPage: name !== 'run-step' })
    for (const finding of await findings(page)) wrong.push(`${where}: ${finding}`)
  }
  for (const complaint of new Set(complaints)) wrong.push(`${look.name}: ${complaint}`)
  await context.close()
}

/** Run in the page: tabs that leave the window, and lines of a log that touch its edge. */
function cut() {
  const right = (element) => element.getBoundingClientRect().right
  const tabs = [...document.querySelectorAll('[role=tab]')].filter((tab) => right(tab) > innerWidth)
  const box = document.querySelector('.log-box.wrap')
  const lines = [...document.querySelectorAll('.log-box.wrap .log-text')].filter((line) => right(line) > right(box) - 8)
  return [
    ...tabs.map((tab) => `the tab ${tab.textContent} is cut`),
    ...lines.slice(0, 1).map((line) => `a line of the log touches its edge: ${line.textContent}`),
  ]
}

/** What axe-core holds to be serious; run from outside the page, whose policy allows no foreign script. */
async function findings(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  return serious.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes
        .slice(0, 3)
        .map(({ html }) => html.slice(0, 160))
        .join(' | ')}`,
  )
}

/** From Home to the first run and back, by keys alone. */
async function byKeyboard(storageState) {
  const context = await browser.newContext({ ...looks[0], storageState })
  const page = await context.newPage()
  await page.goto(`${base}/`)
  await page.locator('[data-row]').first().waitFor()
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await page
    .waitForURL(/\/(runs|apps|rollouts)\//, { timeout: 5_000 })
    .catch(() => wrong.push('j and Enter open nothing'))
  await page.keyboard.press('Control+k')
  await page
    .getByRole('combobox')
    .waitFor({ timeout: 5_000 })
    .catch(() => wrong.push('Ctrl-K opens no palette'))
  await page.screenshot({ path: join(folder, 'palette.png') })
  await page.keyboard.type('Runs')
  const chosen = page.getByRole('option', { name: 'Runs', selected: true })
  await chosen.waitFor({ timeout: 5_000 }).catch(() => wrong.push('the palette does not find Runs'))
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/runs$/, { timeout: 5_000 }).catch(() => wrong.push(`the palette went to ${page.url()}`))
  await page
    .getByRole('searchbox')
    .waitFor({ timeout: 5_000 })
    .catch(() => wrong.push('the runs have no search'))
  await page.keyboard.press('/')
  const focused = await page.evaluate(() => document.activeElement?.getAttribute('type'))
  if (focused !== 'search') wrong.push('/ does not go to the search')
  await context.close()
}

/** Hidden pages hold no connection, however many there are, so that one more page loads. */
async function hiddenTabs(storageState, pages) {
  const path = pages.find(({ name }) => name === 'run-step')?.path ?? '/'
  const context = await browser.newContext({ ...looks[0], storageState })
  const streams = new Set()
  context.on('request', (request) => request.resourceType() === 'eventsource' && streams.add(request))
  for (const end of ['requestfinished', 'requestfailed']) context.on(end, (request) => streams.delete(request))
  const turn = (page, hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  let first
  for (let n = 0; n < 6; n++) {
    const page = await context.newPage()
    first ??= page
    await page.goto(base + path)
    await until(() => streams.size > 0).catch(() => wrong.push('a page that is seen follows nothing'))
    await turn(page, true)
    await until(() => streams.size === 0).catch(() => wrong.push(`hidden pages hold ${streams.size} streams`))
  }
  const another = await context.newPage()
  await another.goto(`${base}/`)
  await another
    .getByText('On its way')
    .first()
    .waitFor({ timeout: 10_000 })
    .catch(() => wrong.push('beside six hidden pages no other one loads'))
  const before = streams.size
  await turn(first, false)
  await until(() => streams.size > before).catch(() => wrong.push('a page that is seen again follows nothing'))
  await context.close()
}

/** Every run of many is shown in the end: the pages are the newest run's, with other numbers. */
async function manyRuns(storageState, api) {
  const { runs } = await api('/runs')
  if (runs.length === 0) return
  const total = 430
  const page = await one(storageState)
  await page.route('**/api/v1/runs?*', (route) => {
    const asked = new URL(route.request().url()).searchParams
    const [skip, limit] = [Number(asked.get('skip')), Number(asked.get('limit'))]
    const row = (_, n) => ({ ...runs[0], run: { ...runs[0].run, id: `${runs[0].run.id}${skip + n}` } })
    const shown = Array.from({ length: Math.max(0, Math.min(limit, total - skip)) }, row)
    return route.fulfill({ json: { runs: shown, total } })
  })
  await page.goto(`${base}/runs`)
  const more = page.getByRole('button', { name: 'Show more' })
  const rows = page.locator('[data-row]')
  await rows.first().waitFor()
  for (let shown = 0; shown < total && (await more.count()) > 0; ) {
    shown = await rows.count()
    await more.click()
    await until(async () => (await rows.count()) > shown).catch(() => (shown = total))
  }
  if ((await rows.count()) !== total) wrong.push(`of ${total} runs ${await rows.count()} can be seen`)
  await page.context().close()
}

/** Who retries an old run is told what goes back. */
async function olderRun(storageState, api) {
  const [ended] = (await api('/home')).ended
  if (ended === undefined) return
  const page = await one(storageState)
  const newer = { ...ended.run, number: 99, sha: 'abcdef0123', title: 'A later change' }
  await page.route(`**/api/v1/runs/${ended.run.id}`, async (route) => {
    const answer = await route.fetch()
    return route.fulfill({ response: answer, json: { ...(await answer.json()), newer } })
  })
  await page.goto(`${base}/runs/${ended.run.id}`)
  await page.getByRole('button', { name: 'Retry' }).click()
  const said = page.getByText(/#99 has run since then.*goes back from that to the older commit/)
  await said.waitFor({ timeout: 10_000 }).catch(() => wrong.push('a retry does not say that it goes back'))
  await page.context().close()
}

/** The button starts the pipeline that is chosen, with what was typed, and leads to its run. */
async function byHand(storageState, api) {
  const [shown] = (await api('/runs')).runs
  if (shown === undefined) return
  const page = await one(storageState)
  const input = { description: '', options: [], required: true, default: null }
  const inputs = [
    { ...input, name: 'version', kind: 'string' },
    { ...input, name: 'where', kind: 'choice', options: ['stage', 'production'] },
  ]
  const pipelines = [{ file: '.bespin/release.yaml', name: 'release', inputs }]
  const at = { reference: 'refs/heads/main', sha: 'abcdef0123', problem: null }
  await page.route('**/api/v1/startable*', (route) =>
    route.fulfill({ json: { repositories: [{ ...at, repository: 'user/petclinic', pipelines }] } }),
  )
  let sent
  await page.route('**/api/v1/runs', (route) => {
    sent = { csrf: route.request().headers()['x-bespin-csrf'], ...route.request().postDataJSON() }
    return route.fulfill({ json: { run: shown.run.id } })
  })
  await page.goto(`${base}/start`)
  await page.getByLabel('version').fill('1.2.3')
  await page.getByLabel('where').selectOption('production')
  await page.getByRole('button', { name: 'Start the run' }).click()
  await page
    .waitForURL(`**/runs/${shown.run.id}`, { timeout: 10_000 })
    .catch(() => wrong.push(`a start leads to ${page.url()}`))
  const { repository, file, inputs: given, csrf } = sent ?? {}
  const said = JSON.stringify({ repository, file, given })
  const right = { repository: 'user/petclinic', file: '.bespin/release.yaml', given: { version: '1.2.3', where: 'production' } }
  if (said !== JSON.stringify(right) || !csrf) wrong.push(`the button of a start sends ${said}`)
  await page.context().close()
}

async function one(storageState) {
  const context = await browser.newContext({ ...looks[0], storageState })
  return context.newPage()
}

/** Waits until something is so. */
async function until(is) {
  const end = Date.now() + 10_000
  while (!(await is())) {
    if (Date.now() > end) throw new Error('it is not so')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
