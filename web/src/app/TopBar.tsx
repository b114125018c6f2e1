import TopNavigation, {
  type TopNavigationProps,
} from '@cloudscape-design/components/top-navigation';
import { queryOptions, useQuery } from '@tanstack/react-query';
import { memo, useMemo } from 'react';

import { queries } from '../api/queries';
import { choose, DENSITIES, THEMES, useLook } from '../lib/appearance';
import { useFollow } from '../lib/follow';
import { useMe } from '../lib/me';
import { useLiveness } from '../live/LiveProvider';
import { t } from '../strings';

/** What the bar shows of the daemon's status, which changes with every workspace. */
const USER_AND_VERSION = queryOptions({
  ...queries.status,
  select: ({ user, version }) => ({ user, version }),
});

const option = (id: string, text: string, checked: boolean) => ({
  id,
  text,
  itemType: 'checkbox' as const,
  checked,
});

// It measures itself whenever it is drawn, which takes as long as drawing a table.
const Navigation = memo(TopNavigation);

/** The bar at the top: the product, the search, the appearance and the user. */
export function TopBar({ openPalette }: { readonly openPalette: () => void }) {
  const follow = useFollow();
  const liveness = useLiveness();
  const { data: status } = useQuery(USER_AND_VERSION);
  const me = useMe();
  const look = useLook();
  const identity = useMemo(
    () => ({
      href: '/',
      title: t.product,
      logo: { src: '/icon.svg', alt: t.logo },
      onFollow: follow,
    }),
    [follow],
  );
  const utilities = useMemo(
    (): readonly TopNavigationProps.Utility[] => [
      {
        type: 'button',
        iconName: 'search',
        text: t.palette.button,
        title: t.palette.title,
        onClick: openPalette,
      },
      {
        type: 'menu-dropdown',
        iconName: 'settings',
        ariaLabel: t.appearance.title,
        title: t.appearance.title,
        onItemClick: ({ detail }) => choose(detail.id),
        items: [
          {
            text: t.appearance.theme,
            items: THEMES.map((it) => option(it, t.appearance.themes[it], look.theme === it)),
          },
          {
            text: t.appearance.density,
            items: DENSITIES.map((it) =>
              option(it, t.appearance.densities[it], look.density === it),
            ),
          },
        ],
      },
      {
        type: 'menu-dropdown',
        iconName: liveness === 'cut' ? 'status-warning' : 'user-profile',
        text: status?.user ?? '',
        ariaLabel: t.daemon.menu(status?.user ?? ''),
        description: status === undefined ? '' : t.daemon.version(status.version),
        items: [
          { id: 'api', text: t.daemon.api, href: '/docs', external: true },
          ...(me?.session == null ? [] : [{ id: 'logout', text: t.login.out, href: '/logout' }]),
          { id: 'state', text: t.daemon.liveness[liveness], disabled: true },
        ],
      },
    ],
    [openPalette, look, liveness, status, me],
  );
  return (
    <div id="top">
      <Navigation identity={identity} utilities={utilities} />
    </div>
  );
}
