import TopNavigation from '@cloudscape-design/components/top-navigation';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import { queries } from '../api/queries';
import { DENSITIES, density, setDensity, setTheme, theme, THEMES } from '../lib/appearance';
import { useFollow } from '../lib/follow';
import { useLiveness } from '../live/LiveProvider';
import { t } from '../strings';

/** The bar at the top: where one is, the palette, and how it looks. */
export function TopBar({ openPalette }: { readonly openPalette: () => void }) {
  const follow = useFollow();
  const liveness = useLiveness();
  const { data: status } = useQuery(queries.status);
  const [, redraw] = useState(0);
  const choose = (id: string) => {
    const chosenTheme = THEMES.find((it) => it === id);
    const chosenDensity = DENSITIES.find((it) => it === id);
    if (chosenTheme !== undefined) setTheme(chosenTheme);
    if (chosenDensity !== undefined) setDensity(chosenDensity);
    redraw((count) => count + 1);
  };
  const option = (id: string, text: string, checked: boolean) => ({
    id,
    text,
    itemType: 'checkbox' as const,
    checked,
  });
  return (
    <div id="top">
      <TopNavigation
        identity={{
          href: '/',
          title: t.product,
          logo: { src: '/icon.svg', alt: t.logo },
          onFollow: follow,
        }}
        utilities={[
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
                items: THEMES.map((it) => option(it, t.appearance.themes[it], theme() === it)),
              },
              {
                text: t.appearance.density,
                items: DENSITIES.map((it) =>
                  option(it, t.appearance.densities[it], density() === it),
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
              { id: 'state', text: t.daemon.liveness[liveness], disabled: true },
            ],
          },
        ]}
      />
    </div>
  );
}
