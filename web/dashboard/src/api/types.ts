// The API's shapes by short names.

export type Status = 'NORMAL' | 'ANOMALY' | 'LEARNING' | 'STALE' | 'UNKNOWN';

export interface Node {
  version: string; profile: string; profile_title: string; model: string | null; started_at: string; now: string;
  demo: boolean; default_pump: string; pumps: number;
}
export interface Limits {
  low_alarm: number | null; low_warning: number | null; high_warning: number | null; high_alarm: number | null;
}
export interface Channel {
  name: string; quantity: string; unit: string; plausible: number[]; resolution: number; limits: Limits;
}
export interface Profile { name: string; title: string; interval_ms: number; channels: Channel[] }
export interface Pump {
  pump_id: string; profile: string; registered_at: string; status: Status; status_reason: string | null;
  since: string | null; age_ms: number | null; last_reading_at: string | null; loss: number | null;
  threshold: number | null; judged_at: string | null; top_channel: string | null; active_events: number;
  simulated: boolean; trend: { t: number[]; loss: number[] };
}
export interface LiveChannel { value: number | null; unit: string; state: string; quality: string }
export interface Simulation {
  running: boolean; speed: number; source: string; recording: string | null;
  pump: { fault: string | null; severity: number | null; phase: string; growth: number; elapsed_s: number;
    total_s: number; cycle: number } | null;
}
export interface Live {
  pump_id: string; status: Status; status_reason: string | null; age_ms: number | null; timestamp: string | null;
  received_at: string | null; channels: Record<string, LiveChannel>; judged_at: string | null; loss: number | null;
  threshold: number | null; is_anomaly: boolean | null; contributions: Record<string, number> | null;
  model: string | null; learning: { have: number; need: number } | null;
  totals: { pump: { readings: number; scored: number; anomalies: number } };
  simulation: Simulation | null;
}
export interface Reading { pump_id: string; timestamp: string; values: Record<string, number | null>; quality: Record<string, string> }
export interface Detection {
  pump_id: string; timestamp: string; loss: number; threshold: number; is_anomaly: boolean;
  contributions: Record<string, number>; model: string;
}
export interface MaintenanceEvent {
  id: string; pump_id: string; rule: string; title: string; advice: string; severity: string; status: string;
  cost: { amount: number; currency: string }; channel: string; limit: number; peak: number; peak_loss: number;
  model: string; opened_at: string; last_seen_at: string; resolved_at: string | null;
}
export interface ReadingEvent { t: number[]; pump: string; channels: string[]; values: (number | null)[][] }
export interface DetectionEvent {
  t: number[]; pump: string; loss: number[]; threshold: number[]; is_anomaly: boolean[]; channels: string[];
  contributions: number[][];
}
export interface FleetEvent {
  now: number; pumps: string[]; status: Status[]; age_ms: (number | null)[]; at: (number | null)[];
  loss: (number | null)[]; threshold: (number | null)[];
}
