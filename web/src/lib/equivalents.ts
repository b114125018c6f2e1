import { LIFECYCLE } from '../api/actions';
import type { Schemas } from '../api/client';
import { t } from '../strings';
import { optionsOfCommand } from './launchOptions';

export const COMMAND_KINDS = ['cli', 'python', 'curl'] as const;
export type CommandKind = (typeof COMMAND_KINDS)[number];

/** How to do one thing in three other ways. */
export type Equivalent = { readonly title: string } & Readonly<Record<CommandKind, string>>;

const PLAIN = /^[\w@%+=:,./-]+$/;

/** A word as a shell reads it back. */
export function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A request of the API, for a shell. */
export function curl(method: string, path: string, body?: object): string {
  const url = quoted(`${location.origin}/api/v1${path}`);
  if (method === 'GET') return `curl ${url}`;
  if (body === undefined) return `curl -X ${method} ${url}`;
  const json = quoted(JSON.stringify(body));
  return `curl -X ${method} ${url} -H 'Content-Type: application/json' -d ${json}`;
}

/** A call of the Python client. */
export const python = (call: string) => `from prism.client import Client; Client().${call}`;
const at = (name: string) => `/instances/${encodeURIComponent(name)}`;

/** The lifecycle verbs of one workspace. */
export function verbs(name: string): Equivalent[] {
  const text = JSON.stringify(name);
  const plain = LIFECYCLE.map((verb) => ({
    title: t.verbs[verb],
    cli: `prism ${verb} ${name}`,
    python: python(`workspaces.${verb}(${text})`),
    curl: curl('POST', `${at(name)}/${verb}`),
  }));
  return [
    {
      title: t.workspace.open,
      cli: `prism open ${name}`,
      python: python(`workspaces.connect(${text})`),
      curl: curl('GET', `${at(name)}/connect`),
    },
    ...plain,
    {
      title: t.expiry.button,
      cli: `prism extend ${name} 4`,
      python: python(`workspaces.extend(${text}, 4)`),
      curl: curl('POST', `${at(name)}/extend`, { hours: 4 }),
    },
    {
      title: t.settings.restart,
      cli: `prism workspace update ${name} --restart`,
      python: python(`workspaces.update(${text}, restart=True)`),
      curl: curl('PUT', at(name), { restart: true }),
    },
    {
      title: t.verbs.terminate,
      cli: `prism terminate ${name}`,
      python: python(`workspaces.terminate(${text})`),
      curl: curl('POST', `${at(name)}/terminate`, { confirm: 'DELETE' }),
    },
  ];
}

/** A launch, with just what differs from the defaults. */
export function launch(order: Schemas['LaunchRequest']): Equivalent {
  const { name, template, ...rest } = order;
  const chosen = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  const { size, profile, project, budget, ttl_hours: hours, idle_profile: idle } = rest;
  const flags = [
    ...(size ? ['--size', size] : []),
    ...(profile ? ['--profile', quoted(profile)] : []),
    ...(project ? ['--project', quoted(project)] : []),
    ...(budget ? ['--budget', quoted(budget)] : []),
    ...(hours ? ['--ttl', String(hours)] : []),
    ...(idle ? ['--idle-profile', quoted(idle)] : []),
    ...optionsOfCommand(order).flatMap(([option, value]) =>
      value === undefined ? [option] : [option, quoted(value)],
    ),
  ];
  const arguments_ = [
    JSON.stringify(template),
    JSON.stringify(name),
    ...Object.entries(chosen).map(([key, value]) => `${key}=${JSON.stringify(value)}`),
  ];
  return {
    title: t.launch.title,
    cli: ['prism launch', quoted(template), name, ...flags].join(' '),
    python: python(`workspaces.launch(${arguments_.join(', ')})`),
    curl: curl('POST', '/instances/launch', { name, template, ...chosen }),
  };
}

/** What can be done with the files in a folder of a workspace. */
export function filesOf(name: string, folder: string): Equivalent[] {
  const [text, path] = [JSON.stringify(name), JSON.stringify(folder)];
  const file = folder === '' ? 'FILE' : `${folder}/FILE`;
  const inside = `${at(name)}/files`;
  const where = `path=${encodeURIComponent(file)}`;
  const url = quoted(`${location.origin}/api/v1${inside}/content?${where}`);
  return [
    {
      title: t.workspace.tab.files,
      cli: `prism files ls ${name} ${quoted(folder)}`.trim(),
      python: python(`files.list(${text}, ${path})`),
      curl: curl('GET', `${inside}?path=${encodeURIComponent(folder)}`),
    },
    {
      title: t.files.download,
      cli: `prism files get ${name} ${quoted(file)}`,
      python: python(`files.download(${text}, ${JSON.stringify(file)}, "FILE")`),
      curl: `curl -OJ ${url}`,
    },
    {
      title: t.files.upload,
      cli: `prism files put ${name} FILE ${quoted(folder === '' ? 'FILE' : `${folder}/`)}`,
      python: python(`files.upload(${text}, "FILE", ${JSON.stringify(file)})`),
      curl: `curl -T FILE ${url}`,
    },
    {
      title: t.files.remove,
      cli: `prism files rm ${name} ${quoted(file)}`,
      python: python(`files.remove(${text}, ${JSON.stringify(file)})`),
      curl: curl('DELETE', `${inside}?${where}`),
    },
  ];
}

/** What the page of projects does. */
export function moneyOf(): Equivalent[] {
  return [
    {
      title: t.pages.projects,
      cli: 'prism project list',
      python: python('projects.list()'),
      curl: curl('GET', '/projects'),
    },
    {
      title: t.money.newProject,
      cli: 'prism project create NAME --budget 100',
      python: python('projects.create("NAME", total_allocated=100)'),
      curl: curl('POST', '/projects', { name: 'NAME', budget: { total_allocated: 100 } }),
    },
    {
      title: t.money.pools,
      cli: 'prism budget list',
      python: python('budgets.list()'),
      curl: curl('GET', '/budgets'),
    },
  ];
}

/** What the page of one project shows. */
export function projectOf(name: string): Equivalent[] {
  const [text, path] = [JSON.stringify(name), `/projects/${encodeURIComponent(name)}`];
  return [
    {
      title: t.money.money,
      cli: `prism project budget ${quoted(name)}`,
      python: python(`projects.budget(${text})`),
      curl: curl('GET', `${path}/budget`),
    },
    {
      title: t.money.runsOut,
      cli: `prism budget forecast ${quoted(name)}`,
      python: python(`projects.forecast(${text})`),
      curl: curl('GET', `${path}/forecast`),
    },
    {
      title: t.analysis.title,
      cli: `prism project analysis ${quoted(name)}`,
      python: python(`projects.analysis(${text})`),
      curl: curl('GET', `${path}/cost-analysis`),
    },
    {
      title: t.money.members,
      cli: `prism member list ${quoted(name)}`,
      python: python(`members.list(${text})`),
      curl: curl('GET', `${path}/members`),
    },
    {
      title: t.money.tab.invitations,
      cli: `prism invite list ${quoted(name)}`,
      python: python(`invitations.list(${text})`),
      curl: curl('GET', `/invitations/project/${encodeURIComponent(name)}`),
    },
  ];
}

/** What the page of storage does. */
export function storageOf(): Equivalent[] {
  return [
    {
      title: t.storage.volumes,
      cli: 'prism volume list',
      python: python('volumes.list()'),
      curl: curl('GET', '/storage/volumes'),
    },
    {
      title: t.storage.newVolume,
      cli: 'prism volume create NAME --size 20',
      python: python('volumes.create("NAME", 20)'),
      curl: curl('POST', '/storage/volumes/create', { name: 'NAME', type: 'ebs', size_gb: 20 }),
    },
    {
      title: t.storage.attach,
      cli: 'prism volume attach NAME WORKSPACE',
      python: python('volumes.attach("NAME", "WORKSPACE")'),
      curl: curl('POST', '/storage/volumes/NAME/attach', { instance: 'WORKSPACE' }),
    },
    {
      title: t.storage.snapshot,
      cli: 'prism snapshot create COPY --volume NAME',
      python: python('snapshots.create("COPY", volume="NAME")'),
      curl: curl('POST', '/snapshots', { name: 'COPY', volume: 'NAME' }),
    },
    {
      title: t.storage.restore,
      cli: 'prism snapshot restore COPY NEW',
      python: python('snapshots.restore("COPY", "NEW")'),
      curl: curl('POST', '/snapshots/COPY/restore', { name: 'NEW' }),
    },
    {
      title: t.storage.copyElsewhere,
      cli: 'prism snapshot copy COPY /mnt/disk',
      python: python('snapshots.copy("COPY", "/mnt/disk")'),
      curl: curl('POST', '/snapshots/COPY/copy', { destination: '/mnt/disk' }),
    },
    {
      title: t.storage.fetch,
      cli: 'prism snapshot fetch COPY /mnt/disk',
      python: python('snapshots.fetch("/mnt/disk", "COPY")'),
      curl: curl('POST', '/remote-copies/fetch', { destination: '/mnt/disk', copy: 'COPY' }),
    },
    {
      title: t.storage.deleteThere,
      cli: 'prism snapshot delete-copy ID /mnt/disk',
      python: python('snapshots.delete_copy("ID", "/mnt/disk")'),
      curl: curl('DELETE', '/remote-copies/ID?destination=/mnt/disk'),
    },
    {
      title: t.storage.schedule,
      cli: 'prism snapshot schedule /mnt/disk --volume NAME --every daily --keep 7',
      python: python('snapshots.schedule("/mnt/disk", "daily", volume="NAME", keep=7)'),
      curl: curl('POST', '/copy-schedules', {
        destination: '/mnt/disk',
        every: 'daily',
        volume: 'NAME',
        keep: 7,
      }),
    },
    {
      title: t.storage.rollBack,
      cli: 'prism rollback WORKSPACE COPY',
      python: python('workspaces.rollback("WORKSPACE", "COPY")'),
      curl: curl('POST', '/instances/WORKSPACE/rollback', { snapshot: 'COPY' }),
    },
  ];
}

/** What the page of costs shows. */
export function costsOf(
  granularity: string,
  project: string | null,
  group: string | null,
): Equivalent[] {
  const asked = { project, group_by: group };
  const given = Object.entries(asked).filter((it): it is [string, string] => it[1] !== null);
  const options = project === null ? '' : ` --project ${quoted(project)}`;
  const history =
    group === null
      ? `prism cost history --granularity ${granularity}`
      : `prism cost history --granularity ${granularity} --by ${group}`;
  const argument = given.map(([name, it]) => `, ${name}=${JSON.stringify(it)}`).join('');
  const part = given.map(([name, it]) => `&${name}=${encodeURIComponent(it)}`).join('');
  return [
    {
      title: t.home.now,
      cli: 'prism cost current',
      python: python('costs.current()'),
      curl: curl('GET', '/costs/current'),
    },
    {
      title: t.costs.history,
      cli: history + options,
      python: python(`costs.history(granularity=${JSON.stringify(granularity)}${argument})`),
      curl: curl('GET', `/costs/history?granularity=${granularity}${part}`),
    },
    {
      title: t.costs.csv,
      cli: 'prism cost export --output costs.csv',
      python: python('costs.export()'),
      curl: curl('GET', '/costs/export?format=csv'),
    },
  ];
}

/** What the page of events shows, by the same filter. */
export function eventsOf(filter: Readonly<Record<string, string>>): Equivalent[] {
  const flags = Object.entries(filter).map(([name, value]) => `--${name} ${quoted(value)}`);
  const named = Object.entries(filter).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const asked = String(new URLSearchParams(filter));
  return [
    {
      title: t.pages.events,
      cli: ['prism audit', ...flags].join(' '),
      python: python(`audit.entries(${named.join(', ')})`),
      curl: curl('GET', asked === '' ? '/audit' : `/audit?${asked}`),
    },
    {
      title: t.events.follow,
      cli: 'prism events',
      python: python('events()'),
      curl: `curl -N ${quoted(`${location.origin}/api/v1/events`)}`,
    },
  ];
}
