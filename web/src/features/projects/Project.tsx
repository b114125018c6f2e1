import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Tabs from '@cloudscape-design/components/tabs';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useParams } from 'react-router';

import { actions } from '../../api/actions';
import { queries } from '../../api/queries';
import { AsCommand } from '../../ui/AsCommand';
import { Confirm } from '../../ui/Confirm';
import { Loaded } from '../../ui/Loaded';
import { LimitTable } from '../people/LimitTable';
import { lastDay } from '../people/lastDay';
import { ProjectInvitations } from '../people/ProjectInvitations';
import { ProjectMembers } from '../people/ProjectMembers';
import { ProjectMoney } from '../money/ProjectMoney';
import { ProjectSettings } from './ProjectSettings';
import { projectOf } from '../../lib/equivalents';
import { useFollow } from '../../lib/follow';
import { useSearch } from '../../lib/useSearch';
import { hasRole, useMe } from '../../lib/me';
import { t } from '../../strings';
import { NotFound } from '../../ui/NotFound';

/** One project: its money, its people, its invitations and its limits. */
export default function Project() {
  const { name = '' } = useParams();
  const [search, change] = useSearch();
  const wanted = search.get('tab') ?? '';
  const navigate = useNavigate();
  const query = useQuery(queries.projects);
  const me = useMe();
  const follow = useFollow();
  return (
    <Loaded query={query} what={name}>
      {(list) => {
        const project = list.find((candidate) => candidate.name === name || candidate.id === name);
        if (project === undefined)
          return <NotFound what={t.money.noProject(name)} list="projects" />;
        const tabs = {
          money: <ProjectMoney project={project} />,
          members: <ProjectMembers project={project} />,
          ...(!hasRole(me, project.id, 'admin', 'owner')
            ? {}
            : { invitations: <ProjectInvitations project={project} /> }),
          ...(!hasRole(me, project.id, 'owner')
            ? {}
            : {
                settings: (
                  <SpaceBetween size="l">
                    <ProjectSettings key={project.id} project={project} />
                    <LimitTable project={project.id} />
                  </SpaceBetween>
                ),
              }),
        };
        return (
          <ContentLayout
            header={
              <Header
                variant="h1"
                description={
                  <>
                    {project.description} <OwnEnd project={project.id} />
                  </>
                }
                actions={
                  <SpaceBetween direction="horizontal" size="xs">
                    <AsCommand equivalents={projectOf(project.name)} />
                    {hasRole(me, project.id, 'admin', 'owner') && (
                      <Button
                        href={`/projects/${encodeURIComponent(project.name)}/class`}
                        onFollow={follow}
                      >
                        {t.classes.open}
                      </Button>
                    )}
                    {hasRole(me, project.id, 'owner') && (
                      <Confirm
                        text={t.files.remove}
                        label={t.money.removeOf(project.name)}
                        word={project.name}
                        warning={t.money.removeProject}
                        act={async () => {
                          await actions.removeProject(project.id);
                          await navigate('/projects');
                        }}
                      />
                    )}
                  </SpaceBetween>
                }
              >
                {project.name}
              </Header>
            }
          >
            <Tabs
              ariaLabel={t.money.parts}
              activeTabId={Object.hasOwn(tabs, wanted) ? wanted : 'money'}
              onChange={({ detail }) =>
                change({ tab: detail.activeTabId === 'money' ? null : detail.activeTabId })
              }
              tabs={Object.entries(tabs).map(([id, content]) => ({
                id,
                label: t.money.tab[id as keyof typeof t.money.tab],
                content,
              }))}
            />
          </ContentLayout>
        );
      }}
    </Loaded>
  );
}

/** Until when whoever looks is a member, if that has an end. */
function OwnEnd({ project }: { readonly project: string }) {
  const me = useMe();
  const [role, until] = [me?.roles[project], me?.until[project]];
  if (role === undefined || until === undefined) return null;
  return <Box color="text-status-warning">{t.memberEnd.own(t.roles[role], lastDay(until))}</Box>;
}
