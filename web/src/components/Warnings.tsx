import { useQueries, useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { useLocation, useNavigate } from 'react-router';

import { actions } from '../api/actions';
import type { Instance } from '../api/client';
import { queries } from '../api/queries';
import { relative } from '../lib/format';
import { useNow } from '../lib/now';
import { concern, sleepsSoon } from '../lib/states';
import { t } from '../strings';
import { type Notice, useNotify } from './Notifications';

const WATCHED = 20; // idle workspaces whose time to sleep is asked for
const MOST = 3; // notices at once; of more, one says how many
const HOURS = 4;
const MINUTES = 120;

/** Says on every page, once, what is about to be put to sleep, with the button that prevents it. */
export function Warnings() {
  const { data: list = [] } = useQuery(queries.instances);
  const now = useNow();
  const idle = list.filter((it) => concern(it, now) === 'idle').slice(0, WATCHED);
  const acts = useQueries({
    queries: idle.map((it) => queries.idle(it.name)),
    combine: (results) =>
      results
        .flatMap(({ data }) =>
          sleepsSoon(data?.acts_at ?? null, now) ? [data?.instance_name] : [],
        )
        .join(' '),
  });
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const { notify, failed } = useNotify();
  const told = useRef(new Set<string>());
  useEffect(() => {
    const fresh = list.flatMap((it) => {
      const why = concern(it, now);
      if (why === null || why === 'failed') return [];
      if (why === 'idle' && !acts.split(' ').includes(it.name)) return [];
      const key = `${it.name} ${why} ${why === 'expiring' ? (it.expires_at ?? '') : ''}`;
      return told.current.has(key) ? [] : [{ it, why, key }];
    });
    if (fresh.length === 0) return;
    for (const { key } of fresh) told.current.add(key);
    if (pathname === '/') return; // the page says it itself
    const act = (header: string, work: () => Promise<unknown>) => () => {
      work().then(
        () => notify({ type: 'success', header }),
        (error: unknown) => failed(header, error as Error),
      );
    };
    const notices =
      fresh.length > MOST
        ? [{ ...many(fresh.length), action: { text: t.pages.home, run: () => void navigate('/') } }]
        : fresh.map(({ it, why }) => noticeOf(it, why, now, act));
    for (const notice of notices) {
      notify(notice);
      tellDesktop(notice.header, () => void navigate('/'));
    }
  }, [list, acts, now, pathname, navigate, notify, failed]);
  return null;
}

function many(count: number): Notice {
  return { type: 'warning', header: t.concerns.many(count) };
}

function noticeOf(
  it: Instance,
  why: 'expiring' | 'idle',
  now: number,
  act: (header: string, work: () => Promise<unknown>) => () => void,
): Notice {
  if (why === 'expiring') {
    const run = act(t.extend.done(it.name, HOURS), () => actions.extend(it.name, HOURS));
    const header = `${it.name} ${t.concerns.expires(relative(it.expires_at ?? '', now))}`;
    return { type: 'warning', header, action: { text: t.extend.button(HOURS), run } };
  }
  const run = act(t.idle.kept(it.name, MINUTES), () => actions.keepAwake(it.name, MINUTES));
  const header = `${it.name} ${t.concerns.idle}`;
  return { type: 'warning', header, action: { text: t.idle.keepAwakeFor(MINUTES), run } };
}

/** The same from the browser, where that was allowed and nobody looks at the page. */
function tellDesktop(text: string, go: () => void): void {
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  if (document.visibilityState === 'visible') return;
  const notice = new Notification(t.product, { body: text, tag: text });
  notice.onclick = () => {
    window.focus();
    go();
  };
}
