// The tests look into every room; the examples of the documents bring their own.
global using CivetWeb.Net.CallbackApi;
global using CivetWeb.Net.Core;
