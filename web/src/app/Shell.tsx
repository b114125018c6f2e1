import AppLayoutToolbar from '@cloudscape-design/components/app-layout-toolbar';
import BreadcrumbGroup from '@cloudscape-design/components/breadcrumb-group';
import SideNavigation from '@cloudscape-design/components/side-navigation';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import { useLocation } from 'react-router';

import { NoticeBar } from '../ui/Notifications';
import { Warnings } from '../features/system/Warnings';
import { useFollow } from '../lib/follow';
import { useMe } from '../lib/me';
import { NARROW } from '../lib/useNarrow';
import { Uploads } from '../features/files/Uploads';
import { t } from '../strings';
import { ConnectionLost } from './ConnectionLost';
import { Pages } from './Pages';
import { breadcrumbs, NAVIGATION, titleOf } from './routes';
import { TopBar } from './TopBar';

const Palette = lazy(() => import('./Palette'));

/** What stands around every page. */
export function Shell() {
  const { pathname } = useLocation();
  const [palette, setPalette] = useState(false);
  useEffect(() => {
    document.title = `${titleOf(pathname)} · ${t.product}`;
  }, [pathname]);
  useEffect(() => {
    const open = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setPalette((shown) => !shown);
    };
    window.addEventListener('keydown', open);
    return () => window.removeEventListener('keydown', open);
  }, []);
  const openPalette = useCallback(() => setPalette(true), []);
  return (
    <>
      <TopBar openPalette={openPalette} />
      <Layout pathname={pathname} />
      <Uploads />
      {palette && (
        <Suspense fallback={null}>
          <Palette close={() => setPalette(false)} />
        </Suspense>
      )}
    </>
  );
}

/** What is beside the content; a change of the address's parameters does not draw it again. */
function Layout({ pathname }: { readonly pathname: string }) {
  const follow = useFollow();
  const isShared = useMe()?.shared === true;
  const [navigation, setNavigation] = useState(() => window.innerWidth > NARROW);
  return useMemo(() => {
    const crumbs = breadcrumbs(pathname);
    return (
      <AppLayoutToolbar
        headerSelector="#top"
        toolsHide
        navigationOpen={navigation}
        onNavigationChange={({ detail }) => {
          // The layout closes it by itself while it has not measured the window yet.
          if (navigator.userActivation.hasBeenActive) setNavigation(detail.open);
        }}
        navigation={
          <SideNavigation
            activeHref={`/${pathname.split('/')[1] ?? ''}`}
            header={{ href: '/', text: t.product }}
            items={NAVIGATION.filter((it) => it.href !== '/shared' || isShared)}
            onFollow={follow}
          />
        }
        breadcrumbs={
          crumbs.length > 1 ? <BreadcrumbGroup items={crumbs} onFollow={follow} /> : undefined
        }
        notifications={
          <>
            <ConnectionLost />
            <Warnings />
            <NoticeBar />
          </>
        }
        content={<Pages />}
      />
    );
  }, [pathname, follow, navigation, isShared]);
}
