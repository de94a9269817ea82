// Short names for the API's schemas. The types themselves come from the generated schema.d.ts.

import type { components } from './schema';

type Schemas = components['schemas'];

export type Status = Schemas['PumpStatus'];
export type Session = Schemas['SessionResponse'];
export type LoggedOut = Schemas['LogoutResponse'];
export type Login = Schemas['Login'];
export type Node = Schemas['NodeResponse'];
export type Profile = Schemas['ProfileResponse'];
export type Kind = Schemas['KindResponse'];
export type Channel = Schemas['ChannelResponse'];
export type Limits = Schemas['LimitsResponse'];
export type Pump = Schemas['PumpResponse'];
export type Simulation = Schemas['SimulationResponse'];
export type Live = Schemas['LiveResponse'];
export type Feed = Schemas['FeedResponse'];
export type Settings = Schemas['SettingsResponse'];
export type Learning = Schemas['Learning'];
export type Reading = Schemas['ReadingResponse'];
export type Detection = Schemas['DetectionResponse'];
export type MaintenanceEvent = Schemas['EventResponse'];
export type EventEvidence = Schemas['EventEvidenceResponse'];
export type Recommendation = Schemas['RecommendationResponse'];
export type Baselines = Schemas['BaselinesResponse'];
export type Baseline = Schemas['BaselineResponse'];
export type ReadingEvent = Schemas['ReadingEvent'];
export type DetectionEvent = Schemas['DetectionEvent'];
export type Store = Schemas['StoreResponse'];
export type Disk = Schemas['DiskResponse'];
export type Incomplete = Schemas['IncompleteResponse'];
export type FleetEvent = Schemas['FleetEvent'];
export type RemovedEvent = Schemas['RemovedEvent'];
export type RenamedEvent = Schemas['RenamedEvent'];
export type NamedPump = Schemas['NamedPump'];
export type Role = Schemas['RoleResponse'];
export type User = Schemas['UserResponse'];
export type NewUser = Schemas['NewUser'];
export type UserChange = Schemas['UserChange'];
export type SetUpLink = Schemas['SetUpLinkResponse'];
export type Token = Schemas['TokenResponse'];
export type NewToken = Schemas['NewToken'];
export type AddedToken = Schemas['NewTokenResponse'];
export type AuditEntry = Schemas['AuditResponse'];
export type SecondFactor = Schemas['SecondFactorResponse'];

/** An alarm of a pump; one of the node itself has the `pump_id` `NODE` (lib/alarms.ts), so that both are handled alike. */
export type Alarm = Omit<Schemas['AlarmResponse'], 'pump_id'> & { pump_id: string };
export type AlarmSummary = Schemas['AlarmSummaryResponse'];
export type AlarmsEvent = Schemas['AlarmsEvent'];
export type AlarmResult = Schemas['AlarmResult'];
export type PastExcursion = Schemas['ExcursionResponse'];
export type AlarmTransition = Schemas['TransitionResponse'];
export type AlarmMetrics = Schemas['AlarmMetricsResponse'];
export type AlarmDefinitions = Schemas['DefinitionsResponse'];
export type AlarmTrial = Schemas['TrialResponse'];

export type HandoverResponse = Schemas['HandoverResponse'];
export type Handover = Schemas['Handover'];
export type HandoverItem = Schemas['HandoverItem'];
