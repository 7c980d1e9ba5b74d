// Announces the newest section of a change log, with a token that the plugin never sees.

import { send } from 'bespin:plugin/http@1.1.0';
import { get } from 'bespin:plugin/secrets@1.1.0';
import { read } from 'bespin:plugin/workspace@1.1.0';
import { info, rejected, step, text, transient } from './bespin.js';

export const guest = step(['file', 'to', 'secret'], ({ file = 'CHANGELOG.md', to, secret }) => {
  const { version, notes } = newest(new TextDecoder().decode(read(file)), file);
  info(`announcing ${version}`);
  const { status } = send({
    method: 'POST',
    url: text(to),
    headers: [
      { name: 'authorization', value: text('Bearer ', get(secret)) },
      { name: 'content-type', value: text('application/json') },
    ],
    body: new TextEncoder().encode(JSON.stringify({ version, notes })),
  });
  if (status === 429 || status >= 500) throw transient(`${to} answered ${status}`);
  if (status < 200 || status >= 300) throw rejected(`${to} answered ${status}`);
  return { version, lines: String(notes.split('\n').length) };
});

function newest(log, file) {
  const [, section] = `\n${log}`.split('\n## ');
  if (section === undefined) throw rejected(`${file} has no section: a line that begins with \`## \``);
  const [title, ...notes] = section.split('\n');
  return { version: title.split(' ')[0], notes: notes.join('\n').trim() };
}
