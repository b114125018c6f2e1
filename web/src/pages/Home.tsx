import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Grid from '@cloudscape-design/components/grid';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import { queries } from '../api/queries';
import { Concerns } from '../components/Concerns';
import { EventList } from '../components/EventList';
import { LaunchSection } from '../components/LaunchSection';
import { Loaded } from '../components/Loaded';
import { RunningList } from '../components/RunningList';
import { Summary } from '../components/Summary';
import { useFollow } from '../lib/follow';
import { t } from '../strings';

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
            <LaunchSection few />
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
              <Grid
                gridDefinition={[
                  { colspan: { default: 12, l: 7 } },
                  { colspan: { default: 12, l: 5 } },
                ]}
              >
                <RunningList list={living} />
                <EventList rows={12} />
              </Grid>
            </SpaceBetween>
          </ContentLayout>
        );
      }}
    </Loaded>
  );
}
