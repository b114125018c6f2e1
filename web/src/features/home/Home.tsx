import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense } from 'react';

import { queries } from '../../api/queries';
import { BudgetConcerns } from './BudgetConcerns';
import { Concerns } from './Concerns';
import { NextDay } from './NextDay';
import { Loaded } from '../../ui/Loaded';
import { Summary } from './Summary';
import { useFollow } from '../../lib/follow';
import { t } from '../../strings';

// Only one of the two kinds of this page is loaded: the way to a first workspace, or the lists.
const LaunchSection = lazy(async () => {
  const { LaunchSection: component } = await import('../launch/LaunchSection');
  return { default: component };
});
const HomeLists = lazy(() => import('./HomeLists'));

/** What runs, what it costs and what needs a decision; at first, the way to a first workspace. */
export function Home() {
  const query = useQuery(queries.instances);
  const follow = useFollow();
  return (
    <Loaded query={query} what={t.pages.workspaces}>
      {(list) => {
        const living = list.filter((it) => it.state !== 'terminated');
        return living.length === 0 ? (
          <ContentLayout
            header={
              <Header variant="h1" description={t.home.firstWhat}>
                {t.home.first}
              </Header>
            }
          >
            <Suspense fallback={<Waiting />}>
              <LaunchSection few />
            </Suspense>
          </ContentLayout>
        ) : (
          <ContentLayout
            header={
              <Header
                variant="h1"
                actions={
                  <Button variant="primary" href="/launch" onFollow={follow}>
                    {t.launch.button}
                  </Button>
                }
              >
                {t.pages.home}
              </Header>
            }
          >
            <SpaceBetween size="l">
              <Summary list={living} />
              <Concerns list={living} />
              <BudgetConcerns />
              <NextDay list={living} />
              <Suspense fallback={<Waiting />}>
                <HomeLists list={living} />
              </Suspense>
            </SpaceBetween>
          </ContentLayout>
        );
      }}
    </Loaded>
  );
}

function Waiting() {
  return <StatusIndicator type="loading">{t.loading(t.pages.workspaces)}</StatusIndicator>;
}
