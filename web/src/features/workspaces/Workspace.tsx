import Box from '@cloudscape-design/components/box';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { ActivityDay } from '../idle/ActivityDay';
import { AsCommand } from '../../ui/AsCommand';
import { LaunchProgress } from '../launch/LaunchProgress';
import { EventList } from '../events/EventList';
import { FailureAlert } from './FailureAlert';
import { FilePanel } from '../files/FilePanel';
import { IdlePanel } from '../idle/IdlePanel';
import { InstanceActions } from './InstanceActions';
import { InstanceOverview } from './InstanceOverview';
import { InstanceSettings } from './InstanceSettings';
import { Loaded } from '../../ui/Loaded';
import { LogPanel } from './LogPanel';
import { MachineNotes } from './MachineNotes';
import { SleepStatus } from './SleepStatus';
import { SharePanel } from '../sharing/SharePanel';
import { Visitors } from '../sharing/Visitors';
import { StateIndicator } from './StateIndicator';
import { verbs } from '../../lib/equivalents';
import { TerminalPanel } from '../terminal/TerminalPanel';
import { isComing } from '../../lib/states';
import { useSearch } from '../../lib/useSearch';
import { isOwn, mayManage, useMe } from '../../lib/me';
import { t } from '../../strings';
import { NotFound } from '../../ui/NotFound';

/** One workspace. */
export default function Workspace() {
  const { name = '' } = useParams();
  const query = useQuery(queries.instances);
  const me = useMe();
  const { data: projects = [] } = useQuery(queries.projects);
  const [search, change] = useSearch();
  const wanted = search.get('tab') ?? '';
  return (
    <Loaded query={query} what={name}>
      {(list) => {
        const living = list.find(
          (instance) => instance.name === name && instance.state !== 'terminated',
        );
        const instance =
          living ??
          list.find((candidate) => candidate.name === name || candidate.id === name) ??
          list.find((candidate) => candidate.full_name === name) ??
          list.find((candidate) => isOwn(me, candidate) && hasName(candidate, name));
        if (instance === undefined) return <NotFound what={t.notFound.workspace(name)} />;
        const manages = mayManage(me, instance, projects);
        const tabs = {
          overview: <InstanceOverview instance={instance} manages={manages} />,
          ...(!manages
            ? {}
            : {
                terminal: <TerminalPanel instance={instance} />,
                files: <FilePanel instance={instance} />,
                logs: <LogPanel instance={instance} />,
              }),
          activity: (
            <SpaceBetween size="l">
              <IdlePanel instance={instance} />
              <ActivityDay workspace={instance.workspace} />
            </SpaceBetween>
          ),
          events: <EventList workspace={instance.workspace} />,
          ...(manages && me?.shared === true
            ? { sharing: <SharePanel instance={instance} /> }
            : {}),
          ...(!manages ? {} : { settings: <InstanceSettings instance={instance} /> }),
        };
        return (
          <ContentLayout
            header={
              <Header
                variant="h1"
                description={<StateIndicator instance={instance} />}
                actions={
                  <SpaceBetween direction="horizontal" size="xs">
                    <AsCommand equivalents={verbs(instance.name)} />
                    {manages ? (
                      <InstanceActions instance={instance} />
                    ) : (
                      <Box>{t.workspace.managedBy(instance.owner ?? '')}</Box>
                    )}
                  </SpaceBetween>
                }
              >
                {instance.name}
              </Header>
            }
          >
            <SpaceBetween size="l">
              <FailureAlert instance={instance} />
              {manages && <SleepStatus key={instance.workspace} instance={instance} />}
              {manages && me?.shared === true && <Visitors instance={instance} />}
              <MachineNotes instance={instance} />
              {isComing(instance.state) && <LaunchProgress instance={instance} />}
              <Tabs
                ariaLabel={t.workspace.tabs}
                activeTabId={Object.hasOwn(tabs, wanted) ? wanted : 'overview'}
                onChange={({ detail }) =>
                  change({ tab: detail.activeTabId === 'overview' ? null : detail.activeTabId })
                }
                tabs={Object.entries(tabs).map(([id, content]) => ({
                  id,
                  label: t.workspace.tab[id as keyof typeof t.workspace.tab],
                  content,
                }))}
              />
            </SpaceBetween>
          </ContentLayout>
        );
      }}
    </Loaded>
  );
}

/** Whether its owner gave a workspace that name, though it is shown with its full name. */
function hasName({ full_name }: Instance, name: string): boolean {
  return full_name?.slice(0, full_name.lastIndexOf('--')) === name;
}
