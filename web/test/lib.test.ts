import { describe, expect, it, vi } from 'vitest';

import type { Instance, TemplateItem } from '../src/api/client';
import { breadcrumbs, titleOf } from '../src/app/routes';
import { launch, quoted } from '../src/lib/equivalents';
import {
  filtered,
  readOrder,
  readQuery,
  sorted,
  writeQuery,
} from '../src/features/workspaces/table/filters';
import { duration, freeName, hourly, money, relative, tick } from '../src/lib/format';
import { restOfMonth } from '../src/features/home/month';
import { draftOf, favourite, orderOf, usable } from '../src/lib/order';
import { addressOf, openings } from '../src/lib/services';
import { allows, concern } from '../src/lib/states';
import { hindranceOf } from '../src/lib/volumes';

vi.stubGlobal('location', { origin: 'http://localhost:8947' });
const NOW = Date.UTC(2026, 0, 31, 12);
const workspace = (more: Partial<Instance> = {}): Instance => ({
  name: 'mine',
  workspace: 'ws_1',
  id: 'local-1',
  state: 'running',
  public_ip: null,
  private_ip: null,
  instance_type: 't3.large',
  region: 'local',
  template: 'Data Science (pip)',
  launch_time: '2026-01-01T00:00:00Z',
  hourly_rate: 0.1,
  current_spend: 1,
  hibernation_capable: true,
  tags: {},
  profile: 'local',
  launch_progress: 100,
  progress: 100,
  stage: null,
  expires_at: null,
  failure: null,
  idle: { profile: null },
  price_source: null,
  machine: 't3.large',
  ...more,
});

describe('numbers', () => {
  it('are shown as unknown if missing, and as 0 if zero', () => {
    expect([money(null), money(undefined), money(0)]).toEqual(['unknown', 'unknown', '$0.00']);
    expect([hourly(null), hourly(0.0832), hourly(1)]).toEqual(['unknown', '$0.0832/h', '$1.00/h']);
  });

  it('at the ticks of a small axis differ', () => {
    expect([0, 0.0025, 0.005].map((it) => tick(it, 0.01))).toEqual(['$0.00', '$0.0025', '$0.005']);
    expect([0.5, 1].map((it) => tick(it, 1))).toEqual(['$0.50', '$1.00']);
  });

  it('show durations in at most two units', () => {
    expect([5, 65, 3600, 7500, 90_000].map(duration)).toEqual([
      '5 s',
      '1 min',
      '1 h',
      '2 h 5 min',
      '1 d 1 h',
    ]);
    expect(relative('2026-01-31T12:10:00Z', NOW)).toBe('in 10 min');
    expect(relative('2026-01-31T11:00:00Z', NOW)).toBe('1 h ago');
  });

  it('count the hours until the end of the month in UTC', () => {
    expect(restOfMonth(NOW)).toBe(12);
    expect(restOfMonth(Date.UTC(2026, 11, 31, 23))).toBe(1);
  });
});

describe('names', () => {
  it('are made unique and valid for the API', () => {
    expect(freeName('Data Science (pip)', new Set())).toBe('data-science-pip');
    expect(freeName('lab', new Set(['lab', 'lab-2']))).toBe('lab-3');
    expect(freeName('***', new Set())).toBe('workspace');
    expect(freeName('a'.repeat(80), new Set())).toHaveLength(40);
  });
});

describe('the filter in the address', () => {
  const read = (text: string) => readQuery(new URLSearchParams(text));

  it('is the same after it was written and read', () => {
    const query = read('f=state%3Drunning&f=name!%3Ax%3D1&f=%3Afree&any&sort=-rate&page=3');
    expect(query).toEqual({
      operation: 'or',
      tokens: [
        { propertyKey: 'state', operator: '=', value: 'running' },
        { propertyKey: 'name', operator: '!:', value: 'x=1' },
        { operator: ':', value: 'free' },
      ],
    });
    const written = writeQuery(new URLSearchParams('sort=-rate&page=3'), query);
    expect(readQuery(written)).toEqual(query);
    expect([written.get('sort'), written.get('page')]).toEqual(['-rate', null]);
  });

  it('ignores unknown properties', () => {
    expect(read('f=hack%3D1&f=%7B%7D').tokens).toEqual([]);
    expect(readOrder(new URLSearchParams('sort=constructor'))).toEqual({ by: 'name', down: false });
  });

  it('selects the matching workspaces', () => {
    const list = [workspace(), workspace({ name: 'b', state: 'stopped', tags: { Project: 'p' } })];
    const names = (text: string) => filtered(list, read(text)).map((it) => it.name);
    expect(names('f=state%3Drunning')).toEqual(['mine']);
    expect(names('f=state!%3Drunning')).toEqual(['b']);
    expect(names('f=project%3DP')).toEqual(['b']);
    expect(names('f=%3ADATA&f=name%3Ab')).toEqual(['b']);
    expect(names('f=name%3Ab&f=state%3Drunning&any')).toEqual(['mine', 'b']);
  });

  it('sorts equal workspaces by name, with numbers by value', () => {
    const list = ['w10', 'w2', 'w1'].map((name) => workspace({ name }));
    expect(sorted(list, { by: 'rate', down: true }).map((it) => it.name)).toEqual([
      'w1',
      'w2',
      'w10',
    ]);
  });
});

describe('verbs', () => {
  it('are offered only in the states that allow them', () => {
    expect(allows(workspace(), 'hibernate')).toBe(true);
    expect(allows(workspace({ hibernation_capable: false }), 'hibernate')).toBe(false);
    expect(allows(workspace({ state: 'terminated' }), 'terminate')).toBe(false);
    expect(allows(workspace({ state: 'hibernated' }), 'resume')).toBe(true);
    expect(allows(workspace({ state: 'running' }), 'restart')).toBe(true);
    expect(allows(workspace({ state: 'stopped' }), 'restart')).toBe(false);
    expect(allows(workspace({ state: 'stopping' }), 'stop')).toBe(false);
    const restarting = workspace({ state: 'stopping', restarting: true });
    expect(allows(restarting, 'stop')).toBe(true); // and it stays stopped
    expect(allows(restarting, 'restart')).toBe(false);
  });

  it('are not offered for a workspace that no daemon serves', () => {
    const unreachable = 'it is in another home';
    expect(allows(workspace({ unreachable }), 'stop')).toBe(false);
    expect(allows(workspace({ unreachable: null }), 'stop')).toBe(true);
  });

  it('a failed, expiring or idle workspace is a concern', () => {
    const failure = { code: 'X', message: 'm' };
    expect(concern(workspace({ failure }), NOW)).toBe('failed');
    expect(concern(workspace({ expires_at: '2026-01-31T12:20:00Z' }), NOW)).toBe('expiring');
    expect(concern(workspace({ idle: { profile: 'p', verdict: 'idle' } }), NOW)).toBe('idle');
    expect(concern(workspace(), NOW)).toBeNull();
  });
});

describe('a launch', () => {
  const template = (slug: string, more: Partial<TemplateItem> = {}) =>
    ({
      slug,
      validation_status: 'validated',
      runs_locally: true,
      services: [],
      ...more,
    }) as unknown as TemplateItem;

  it('offers only templates that run at the provider', () => {
    const aws = template('a', { runs_locally: false });
    expect([usable(aws, 'local'), usable(aws, 'aws')]).toEqual([false, true]);
    expect(favourite([aws, template('b'), template('data-science-pip')], 'local')).toBe(
      'data-science-pip',
    );
    expect(favourite([], 'local')).toBe('');
  });

  it('requests only the chosen options', () => {
    const draft = draftOf(new URLSearchParams('size=L&hours=24&size=XXL'), 'lab', [
      workspace({ name: 'lab' }),
    ]);
    expect(orderOf(draft)).toEqual({ name: 'lab-2', template: 'lab', size: 'L', ttl_hours: 24 });
  });

  it('has no expiry and no name if none is chosen', () => {
    const draft = draftOf(new URLSearchParams('hours=never&name='), 'lab', []);
    expect(orderOf(draft)).toEqual({ name: '', template: 'lab' });
    const ordinary = draftOf(new URLSearchParams(), 'lab', []);
    expect(orderOf(ordinary)).toEqual({ name: 'lab', template: 'lab', ttl_hours: 8 });
  });

  it('is shown as a command with shell quoting', () => {
    const order = { name: 'mine', template: "It's (mine)", ttl_hours: 8 };
    expect(launch(order).cli).toBe(`prism launch 'It'\\''s (mine)' mine --ttl 8`);
    expect(quoted('$(rm)')).toBe(`'$(rm)'`);
  });
});

describe('services', () => {
  it('opens JupyterLab first, on its own origin, with its token', () => {
    const connection = {
      ssh: { command: null, host: '', user: '', port: null },
      services: {
        app: { url: 'http://127.0.0.1:9/' },
        jupyter: { url: 'http://127.0.0.1:8', token: 'a/b' },
        evil: { url: 'javascript:alert(1)' },
      },
    };
    const ways = [
      { host: 'h', port: 1, service: 'jupyter', target: 1, url: 'http://mine.localhost:8947' },
    ];
    expect(openings(connection, ways).map((it) => it.href)).toEqual([
      'http://mine.localhost:8947/lab?token=a%2Fb',
      'http://127.0.0.1:9',
    ]);
    expect(addressOf('app', 'http://x/', undefined)).toBe('http://x');
  });
});

describe('the address of a page', () => {
  it('gives breadcrumbs and a title, also if a person typed it wrongly', () => {
    const texts = (path: string) => breadcrumbs(path).map((it) => it.text);
    expect(texts('/projects/coral%20reef')).toEqual(['Home', 'Projects and money', 'coral reef']);
    expect(texts('/workspaces/100%')).toEqual(['Home', 'Workspaces', '100%']);
    expect(texts('/constructor')).toEqual(['Home']);
    expect(titleOf('/')).toBe('Home');
  });
});

it('a volume says why no daemon serves it, before why it failed or waits', () => {
  const failure = { code: 'IN_USE', message: 'a program writes' };
  expect(hindranceOf({ failure: null })).toBeNull();
  expect(hindranceOf({ failure: null, waiting: 'the database is older' })).toBe(
    'the database is older',
  );
  expect(hindranceOf({ failure, waiting: 'w' })).toBe('a program writes');
  expect(hindranceOf({ failure, unreachable: 'another home', waiting: 'w' })).toBe('another home');
});
