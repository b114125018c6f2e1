import { useQueries, useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { useLocation, useNavigate } from 'react-router';

import { queries } from '../../api/queries';
import { relative } from '../../lib/format';
import { useNow } from '../../lib/now';
import { concern, sleepsSoon } from '../../lib/states';
import { usePostpone } from '../../lib/usePostpone';
import { t } from '../../strings';
import { type Notice, useNotify } from '../../ui/Notifications';

const WATCHED = 20; // idle workspaces whose time to sleep is read
const MOST = 3; // notices at once; of more, one says how many

/** Says on every page, once, what is about to be put to sleep, with the button that prevents it. */
export function Warnings() {
  const { data: list = [] } = useQuery(queries.instances);
  const now = useNow();
  const idle = list.filter((it) => concern(it, now) === 'idle').slice(0, WATCHED);
  const acts = useQueries({
    queries: idle.map((it) => queries.idle(it.workspace)),
    combine: (results) =>
      results
        .flatMap(({ data }, index) =>
          sleepsSoon(data?.acts_at ?? null, now) ? [idle[index]?.workspace] : [],
        )
        .join(' '),
  });
  const { pathname } = useLocation();
  const navigate = useNavigate();
  const { notify } = useNotify();
  const postpone = usePostpone();
  const warned = useRef<ReadonlySet<string>>(new Set());
  useEffect(() => {
    const due = new Map(
      list.flatMap((it): [string, Notice][] => {
        const why = concern(it, now);
        if (why === null || why === 'failed') return [];
        if (why === 'idle' && !acts.split(' ').includes(it.workspace)) return [];
        const { text, run } = postpone[why];
        const what =
          why === 'idle' ? t.concerns.idle : t.concerns.expires(relative(it.expires_at ?? '', now));
        const action = { text, run: () => void run(it) };
        const notice: Notice = { type: 'warning', header: `${it.name} ${what}`, action };
        return [[`${it.workspace} ${why} ${why === 'expiring' ? it.expires_at : ''}`, notice]];
      }),
    );
    const fresh = [...due].flatMap(([key, notice]) => (warned.current.has(key) ? [] : [notice]));
    warned.current = new Set(due.keys()); // one that ends and comes back is said again
    const home = () => void navigate('/');
    const notices: readonly Notice[] =
      fresh.length > MOST
        ? [
            {
              type: 'warning',
              header: t.concerns.many(fresh.length),
              action: { text: t.pages.home, run: home },
            },
          ]
        : fresh;
    for (const notice of notices) {
      if (pathname !== '/') notify(notice); // the page there says it itself
      notifyDesktop(notice.header, home);
    }
  }, [list, acts, now, pathname, navigate, notify, postpone]);
  return null;
}

/** The same from the browser, where that was allowed and nobody looks at the page. */
function notifyDesktop(text: string, go: () => void): void {
  if (!('Notification' in window) || Notification.permission !== 'granted') return;
  if (document.visibilityState === 'visible') return;
  const notice = new Notification(t.product, { body: text, tag: text });
  notice.onclick = () => {
    window.focus();
    go();
  };
}
